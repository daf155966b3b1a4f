"""What one client, and all of them together, may take; deciding, with no clock of its own."""
