"""Scripted load: sessions with think time and barge-in, what they felt, and the report of it."""
