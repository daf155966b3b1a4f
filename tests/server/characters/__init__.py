"""Tests of ``server.characters``."""
