"""Attention over paged keys: cut into pieces, planned by cost, computed."""
