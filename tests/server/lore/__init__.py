"""Tests of ``server.lore``."""
