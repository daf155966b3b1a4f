"""The HTTP rooms, driven without a socket."""
