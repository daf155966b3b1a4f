"""Paged attention: how a step reads and writes the KV blocks."""
