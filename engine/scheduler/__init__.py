"""Iteration-level continuous batching: who computes which tokens in the next step."""
