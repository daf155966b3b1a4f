"""Decisions about an engine process that may be lost: no process, no loop and no clock."""
