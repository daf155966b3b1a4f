"""Tests of ``server.tools``."""
