"""Measures what `engine.gpu.attention.piece_costs` reckons with, on the device itself."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import torch
from torch import Tensor

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.gpu.attention.paged_attention import attend
from engine.gpu.attention.piece_costs import PieceCosts
from engine.gpu.attention.span_step import send_spans
from engine.gpu.attention.work_list import STRETCH
from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.timing import seconds_of

_PROGRAMS_PER_PROCESSOR = 2
_LISTENERS = 512
"""Enough that every processor is busy with either tile."""


def measure_pieces(
    keys: Tensor,
    values: Tensor,
    heads: int,
    dtype: torch.dtype,
    *,
    key_scales: Tensor | None = None,
    value_scales: Tensor | None = None,
    listeners: int = _LISTENERS,
    time: Callable[[Callable[[], object]], float] = seconds_of,
) -> PieceCosts | None:
    """Have many listeners read one stretch of keys, each for itself and then together.

    Args:
        keys: ``[blocks, block_size, kv_heads, dim]`` of one layer; read only.
        values: Likewise.
        heads: Query heads.
        dtype: Of queries.
        key_scales: ``[blocks, block_size, kv_heads]`` where keys are kept in eight bits.
        value_scales: Likewise.
        listeners: How many.
        time: Tells how long a launch takes.

    Returns:
        What was found; ``None`` where there are too few blocks to tell.
    """
    blocks = STRETCH // BLOCK_SIZE
    if len(keys) < blocks:
        return None
    device, kv_heads = keys.device, keys.shape[2]
    table = array("i", range(blocks))
    spans = [Span(STRETCH - 1, 1, table)] * listeners
    query = torch.zeros(listeners, heads, keys.shape[3], dtype=dtype, device=device)
    places = _PROGRAMS_PER_PROCESSOR
    if device.type == "cuda":
        places *= torch.cuda.get_device_properties(device).multi_processor_count
    found = []
    for shares in (False, True):
        planner = WorkPlanner([None], heads, kv_heads)
        planner.shares = shares
        work = send_spans(spans, [0] * listeners, planner, device).work[None]
        programs = (len(work.small) + len(work.large)) * kv_heads

        def launch() -> object:
            return attend(
                query,
                keys,
                values,
                work,  # noqa: B023
                scaling=1.0,
                key_scales=key_scales,
                value_scales=value_scales,
            )

        found.append(time(launch) * places / programs)
    return PieceCosts(small_s=found[0], large_s=found[1], places=places)
