"""What the server is started with: one module of settings per room."""
