"""Tests of real (tiny, random-weight) models against transformers."""
