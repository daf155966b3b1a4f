"""Judging whether threads may share a model."""
