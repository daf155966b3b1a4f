"""What was said, and how it becomes a prompt."""
