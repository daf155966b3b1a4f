"""Tests of ``server.sockets``."""
