"""Checkpoints whose weights are held in fewer bits than they are multiplied with."""
