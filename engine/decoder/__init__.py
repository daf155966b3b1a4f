"""Decoder-only transformers taken apart: what a model computes, without the code that does."""
