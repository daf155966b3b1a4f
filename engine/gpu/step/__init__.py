"""What a step is told, and what the device knows already."""
