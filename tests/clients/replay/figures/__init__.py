"""Tests of the figures of a run."""
