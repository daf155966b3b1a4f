"""Tests of ``server.protocol``."""
