"""Tests of `server.cards`."""
