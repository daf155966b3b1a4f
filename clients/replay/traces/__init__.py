"""Readers of traces: text of each format in, sessions out."""
