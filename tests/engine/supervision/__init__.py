"""What is decided of an engine that may be lost."""
