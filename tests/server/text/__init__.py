"""Tests of ``server.text``."""
