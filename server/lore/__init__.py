"""What a character knows when it comes up: which lore a conversation wakes, and where it stands."""
