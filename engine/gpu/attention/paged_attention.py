"""Attention of a packed batch over paged keys and values, by the kernels of this room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from engine.attention.interface import AttentionCall
from engine.attention.kv_store import KVStore, kv_format
from engine.attention.metadata import Span, StepMetadata
from engine.config import BLOCK_SIZE
from engine.gpu.attention.attention_kernels import attend_piece, merge_pieces
from engine.gpu.attention.device_work import LARGE_ROWS, SMALL_ROWS, DeviceWork
from engine.gpu.attention.span_step import send_spans
from engine.gpu.attention.work_list import STRETCH
from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.overlap import overlap_options

_WIDE_DIM = 128


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a program computes its piece.

    Attributes:
        rows: Query rows of its tile, a power of two.
        keys: Keys that it takes at a time.
        num_warps: Groups of 32 threads.
        num_stages: Depth of the pipeline that fetches keys ahead.
    """

    rows: int
    keys: int
    num_warps: int
    num_stages: int


def tiling_of(rows: int, dim: int, *, eight_bits: bool = False) -> Tiling:
    """Choose a tiling that spills no register on sm_80 and newer."""
    large, wide = rows == LARGE_ROWS, dim > _WIDE_DIM
    keys = 32 if wide or (large and dim == _WIDE_DIM) else 64
    more_warps = large and (wide or (eight_bits and keys == 64))
    return Tiling(rows=rows, keys=keys, num_warps=8 if more_warps else 4, num_stages=2)


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    work: DeviceWork,
    *,
    scaling: float,
    window: int | None = None,
    softcap: float | None = None,
    sinks: Tensor | None = None,
    key_scales: Tensor | None = None,
    value_scales: Tensor | None = None,
) -> Tensor:
    """Attend for all tokens of a step, whose own keys and values are stored already.

    Args:
        query: ``[tokens, heads, dim]``, contiguous.
        keys: ``[blocks, block_size, kv_heads, dim]``, numbers or codes of eight bits (see
            `engine.gpu.eight_bit_kernels`).
        values: ``[blocks, block_size, kv_heads, value_dim]``.
        work: Planned with the same window.
        scaling: Multiplies the scores.
        window: How many keys a query sees, itself included.
        softcap: Scores are squashed to ``softcap * tanh(scores / softcap)``.
        sinks: ``[heads]``, one extra logit per head that takes mass and gives nothing.
        key_scales: ``[blocks, block_size, kv_heads]`` bfloat16, of codes.
        value_scales: Likewise.

    Returns:
        ``[tokens, heads, value_dim]`` in the query's dtype.
    """
    tokens, heads, dim = query.shape
    kv_heads, value_dim = values.shape[2:]
    device = query.device
    partial = torch.empty(work.num_results, heads, value_dim, device=device)
    lse = torch.empty(work.num_results, heads, device=device)
    out = torch.empty(tokens, heads, value_dim, dtype=query.dtype, device=device)
    padded_value_dim = max(16, triton.next_power_of_2(value_dim))
    for pieces, rows in ((work.small, SMALL_ROWS), (work.large, LARGE_ROWS)):
        if not len(pieces):
            continue
        tiling = tiling_of(rows, max(dim, value_dim), eight_bits=bool(kv_format(keys.dtype)))
        attend_piece[(len(pieces), kv_heads)](
            query,
            keys,
            values,
            keys if key_scales is None else key_scales,
            values if value_scales is None else value_scales,
            pieces,
            work.order,
            work.tables,
            work.ends,
            work.first_results,
            work.first_stretches,
            partial,
            lse,
            work.tables.shape[1],
            heads * dim,
            scaling,
            softcap or 0.0,
            window or 0,
            HEADS=heads,
            KV_HEADS=kv_heads,
            DIM=dim,
            VALUE_DIM=value_dim,
            PADDED_DIM=max(16, triton.next_power_of_2(dim)),
            PADDED_VALUE_DIM=padded_value_dim,
            BLOCK=BLOCK_SIZE,
            STRETCH=STRETCH,
            ROWS=tiling.rows,
            KEYS=tiling.keys,
            HAS_SOFTCAP=softcap is not None,
            HAS_WINDOW=window is not None,
            FORMAT=kv_format(keys.dtype),
            UPCAST=triton.knobs.runtime.interpret,
            num_warps=tiling.num_warps,
            num_stages=tiling.num_stages,
            **overlap_options(),
        )
    merge_pieces[(tokens, heads)](
        partial,
        lse,
        work.first_results,
        lse if sinks is None else sinks,
        out,
        HEADS=heads,
        VALUE_DIM=value_dim,
        PADDED_VALUE_DIM=padded_value_dim,
        HAS_SINKS=sinks is not None,
        num_warps=1,
        **overlap_options(),
    )
    return out


class PagedAttention:
    """Answers transformers' attention calls of one step with the kernels of this room.

    Args:
        store: Keys and values.
        metadata: Where new tokens go.
        spans: The step's sequences, as ``metadata`` was made from.
    """

    def __init__(self, store: KVStore, metadata: StepMetadata, spans: Sequence[Span]) -> None:
        self._store = store
        self._metadata = metadata
        self._spans = spans
        self._work: dict[tuple[int | None, int, int], DeviceWork] = {}

    def attend(self, call: AttentionCall) -> Tensor:
        """Return ``[tokens, heads, value_dim]``; padding rows are zero."""
        count = self._metadata.num_tokens
        self._store.write(
            call.layer, self._metadata.slots, call.key[:, :count], call.value[:, :count]
        )
        heads, tokens, _ = call.query.shape
        out = attend(
            call.query[:, :count].transpose(0, 1).contiguous(),
            self._store.keys[call.layer],
            self._store.values[call.layer],
            self._work_for(call.window, heads, call.key.shape[0], call.query.device),
            scaling=call.scaling,
            window=call.window,
            softcap=call.softcap,
            sinks=None if call.sinks is None else call.sinks.float(),
        )
        if count == tokens:
            return out
        return torch.cat([out, out.new_zeros(tokens - count, *out.shape[1:])])

    def _work_for(
        self, window: int | None, heads: int, kv_heads: int, device: torch.device
    ) -> DeviceWork:
        key = window, heads, kv_heads
        if key not in self._work:
            planner = WorkPlanner([window], heads, kv_heads)
            no_ids = [0] * self._metadata.num_tokens
            self._work[key] = send_spans(self._spans, no_ids, planner, device).work[window]
        return self._work[key]
