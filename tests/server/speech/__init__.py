"""Tests of `server.speech`."""
