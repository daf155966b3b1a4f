"""Which steps are worth a graph; nothing here needs Triton."""

from __future__ import annotations

MOST_TOKENS = 1024
"""New tokens of a step beyond which the device, not the host, takes most of the time."""
MOST_RESULTS = 2**16
"""Results of pieces beyond which a graph would hold too much memory, as each is a row of numbers
for every query head."""
RARE = 2
"""Steps that are launched as they come before a graph is captured for their like."""
MOST_GRAPHS = 128
"""Graphs of one model; the driver holds some memory for each."""
