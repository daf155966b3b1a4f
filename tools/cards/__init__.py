"""Cards to try the server with: sound ones of every kind, and hostile ones."""
