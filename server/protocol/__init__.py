"""The wire, shared with the clients."""
