"""Tests of `server.lore`."""
