"""Who is asking, and what they may do: keys, scopes, client secrets, origins."""
