"""A small async client library."""
