"""Traces of every format, read as they are."""
