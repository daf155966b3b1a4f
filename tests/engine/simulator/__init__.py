"""Tests of the simulator, and of the scheduler in it."""
