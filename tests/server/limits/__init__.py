"""Tests of what one client, and all of them together, may take."""
