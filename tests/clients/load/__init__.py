"""Tests of scripts, metrics and reports."""
