"""Programs that talk to a server over its wire."""
