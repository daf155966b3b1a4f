"""Tests of wire logs."""
