"""Pools and batches of models that answer at once."""
