"""Tests mirror the three packages."""
