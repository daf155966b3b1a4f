"""Makers: programs that produce what the repository ships."""
