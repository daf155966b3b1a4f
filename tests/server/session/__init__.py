"""Tests of ``server.session``."""
