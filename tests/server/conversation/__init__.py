"""Tests of ``server.conversation``."""
