"""Engine steps that say one thing."""

from __future__ import annotations

import msgspec

from engine.outputs import StepStats

_NOTHING = StepStats(
    step=1,
    time_s=0.0,
    duration_s=0.01,
    num_running=0,
    num_waiting=0,
    prefill_tokens=0,
    decode_tokens=0,
    joined=[],
    left=[],
    kv_blocks_used=0,
    kv_blocks_cached=0,
    kv_blocks_total=100,
    batch=[],
)


def step(**changed: int) -> StepStats:
    """A step in which nothing happened but this."""
    return msgspec.structs.replace(_NOTHING, **changed)
