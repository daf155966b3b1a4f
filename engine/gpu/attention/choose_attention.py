"""Tries FlashAttention-3 against the kernels of this room: is it right, and where is it faster?"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.attention.metadata import Span
from engine.attention.transfer import bring
from engine.config import BLOCK_SIZE
from engine.gpu.attention.flash_attention import FlashAttention, PagedSequences
from engine.gpu.attention.paged_attention import attend
from engine.gpu.attention.span_step import send_spans
from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.timing import seconds_of

logger = logging.getLogger(__name__)

_STREAMS, _CONTEXT, _CHUNK = 32, 1024, 512
_TOLERANCE = 0.02
"""Relative, by norms: both round to 16 bits on their way."""


@dataclass(frozen=True, slots=True)
class AttentionChoice:
    """Which steps are left to FlashAttention-3.

    Attributes:
        flash: It, if there is any use for it.
        in_decodes: Where every sequence has one new token.
        in_chunks: Where some have more.
    """

    flash: FlashAttention | None = None
    in_decodes: bool = False
    in_chunks: bool = False

    def serves(self, *, is_decode: bool) -> bool:
        """Whether a kind of step is left to it."""
        return self.in_decodes if is_decode else self.in_chunks


def choose_attention(
    flash: FlashAttention,
    keys: Tensor,
    values: Tensor,
    heads: int,
    *,
    streams: int = _STREAMS,
    context: int = _CONTEXT,
    chunk: int = _CHUNK,
    time: Callable[[Callable[[], object]], float] = seconds_of,
) -> AttentionChoice:
    """Let both compute decodes and a prompt chunk over the same pages.

    Args:
        flash: What is tried.
        keys: ``[blocks, block_size, kv_heads, dim]`` of one layer; overwritten with random numbers
            and cleared again.
        values: Likewise.
        heads: Query heads.
        streams: Sequences of the decode step; fewer where there are too few blocks.
        context: Tokens that each has stored.
        chunk: Tokens of the prompt.
        time: Tells how long a launch takes.
    """
    per_sequence = -(-(context + 1) // BLOCK_SIZE)
    streams = min(streams, len(keys) // per_sequence)
    chunk = min(chunk, len(keys) * BLOCK_SIZE)
    if not streams or not chunk:
        return AttentionChoice()
    decodes = [
        Span(context, 1, array("i", range(i * per_sequence, (i + 1) * per_sequence)))
        for i in range(streams)
    ]
    prompt = [Span(0, chunk, array("i", range(-(-chunk // BLOCK_SIZE))))]
    keys.normal_()
    values.normal_()
    try:
        wins = [_wins(flash, keys, values, heads, spans, time) for spans in (decodes, prompt)]
    finally:
        keys.zero_()
        values.zero_()
    logger.info("FlashAttention-3 serves decodes: %s, prompts: %s", *wins)
    return AttentionChoice(flash if any(wins) else None, *wins)


def _wins(
    flash: FlashAttention,
    keys: Tensor,
    values: Tensor,
    heads: int,
    spans: list[Span],
    time: Callable[[Callable[[], object]], float],
) -> bool:
    device, kv_heads, dim = keys.device, keys.shape[2], keys.shape[3]
    tokens = sum(span.num_tokens for span in spans)
    query = torch.randn(tokens, heads, dim, dtype=keys.dtype, device=device)
    planner = WorkPlanner([None], heads, kv_heads)
    work = send_spans(spans, [0] * tokens, planner, device).work[None]
    counts = np.array([0, *(span.num_tokens for span in spans)])
    sequences = PagedSequences(
        first_queries=bring(np.cumsum(counts), device),
        lengths=bring([span.start + span.num_tokens for span in spans], device),
        tables=work.tables,
        most_queries=int(counts.max()),
    )
    scaling = dim**-0.5

    def ours() -> Tensor:
        return attend(query, keys, values, work, scaling=scaling)

    def theirs() -> Tensor:
        return flash.attend(query, keys, values, sequences, scaling=scaling)

    try:
        expected = ours().float()
        error = float((theirs().float() - expected).norm() / expected.norm())
    except (RuntimeError, TypeError, ValueError) as problem:
        logger.info("FlashAttention-3 does not run here: %s", problem)
        return False
    if not error < _TOLERANCE:
        logger.warning("FlashAttention-3 is off by %.3g and is not used", error)
        return False
    return time(theirs) < time(ours)
