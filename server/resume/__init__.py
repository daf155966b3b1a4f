"""What lets a session outlive its socket: what was told, and who may come back to it."""
