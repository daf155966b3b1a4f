"""Plays scripts against live servers: sockets, clocks and processes around the deciding player."""
