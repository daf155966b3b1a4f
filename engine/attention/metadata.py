"""Which token of a packed batch belongs to whom, where its key goes and what it may see.

Built once per step and shared by all layers; layers with the same window share their masks too.

A row's arithmetic should not depend on who else is in the batch. Therefore decode rows are padded
to a length that follows from their own length alone, and only rows of equal padded length are
computed together: a matrix product over 320 keys and one over 512 of which the last 192 are masked
do not round alike.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.config import BLOCK_SIZE

_SMALLEST_PADDED = 64


@dataclass(frozen=True, slots=True)
class Span:
    """One sequence's share of a step.

    Attributes:
        start: Tokens whose keys are stored already.
        num_tokens: New tokens.
        block_table: ``array("i")`` of blocks that cover ``start + num_tokens`` tokens.
    """

    start: int
    num_tokens: int
    block_table: array[int]


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Rows that attend together: decodes of equal padded length, or one prompt chunk.

    Attributes:
        rows: Which tokens of the packed batch these are: ``[sequences]`` int64 for decodes, a
            slice for a chunk.
        blocks: ``[sequences * blocks_per_sequence]`` int64, padded with blocks of the same row.
        num_sequences: One for a chunk.
        mask: Added to the scores, ``[sequences, 1, queries, keys]`` in the model's dtype.
    """

    rows: Tensor | slice
    blocks: Tensor
    num_sequences: int
    mask: Tensor


def padded_length(num_keys: int) -> int:
    """Round up to one of four lengths per octave, all multiples of 64."""
    step = max(_SMALLEST_PADDED, (1 << (num_keys - 1).bit_length()) // 4)
    return -(-num_keys // step) * step


class StepMetadata:
    """The layout of one step's packed batch.

    Attributes:
        num_tokens: New tokens of all sequences; the batch may hold padding rows behind them.
        slots: ``[num_tokens]`` int64, where each new token's key and value go.
        fresh_blocks: Blocks that a sequence starts to fill in this step.
    """

    def __init__(self, spans: Sequence[Span], *, dtype: torch.dtype, device: torch.device) -> None:
        self._spans = spans
        self._dtype = dtype
        self._device = device
        self._groups: dict[int | None, list[AttentionGroup]] = {}
        slots: list[int] = []
        for span in spans:
            table = span.block_table
            slots.extend(
                table[position // BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE
                for position in range(span.start, span.start + span.num_tokens)
            )
        self.num_tokens = len(slots)
        self.fresh_blocks = [slot // BLOCK_SIZE for slot in slots if slot % BLOCK_SIZE == 0]
        self.slots = torch.tensor(slots, dtype=torch.int64, device=device)

    def groups(self, window: int | None) -> list[AttentionGroup]:
        """Return every row exactly once, grouped for layers with this window."""
        found = self._groups.get(window)
        if found is None:
            found = self._groups[window] = self._build(window)
        return found

    def _build(self, window: int | None) -> list[AttentionGroup]:
        decodes: dict[int, list[tuple[int, Span]]] = defaultdict(list)
        groups = []
        row = 0
        for span in self._spans:
            if span.num_tokens == 1:
                first = _first_key(span, window)
                decodes[padded_length(span.start + 1 - first)].append((row, span))
            else:
                groups.append(self._chunk(row, span, window))
            row += span.num_tokens
        return [self._decodes(length, rows, window) for length, rows in decodes.items()] + groups

    def _decodes(
        self, length: int, rows: list[tuple[int, Span]], window: int | None
    ) -> AttentionGroup:
        blocks: list[int] = []
        bounds = []
        for _, span in rows:
            first = _first_key(span, window)
            blocks.extend(_padded_blocks(span, first, length))
            lowest = 0 if window is None else max(0, span.start + 1 - window)
            bounds.append((lowest - first, span.start + 1 - first))
        limits = torch.tensor(bounds, device=self._device)  # [n, 2]
        keys = torch.arange(length, device=self._device)
        seen = (keys >= limits[:, :1]) & (keys < limits[:, 1:])  # [n, length]
        return AttentionGroup(
            rows=torch.tensor([row for row, _ in rows], device=self._device),
            blocks=torch.tensor(blocks, device=self._device),
            num_sequences=len(rows),
            mask=self._additive(seen)[:, None, None, :],
        )

    def _chunk(self, row: int, span: Span, window: int | None) -> AttentionGroup:
        first = _first_key(span, window)
        length = padded_length(span.start + span.num_tokens - first)
        queries = torch.arange(span.num_tokens, device=self._device)[:, None] + span.start
        keys = torch.arange(length, device=self._device)[None, :] + first
        seen = keys <= queries  # [queries, length]
        if window is not None:
            seen &= keys > queries - window
        return AttentionGroup(
            rows=slice(row, row + span.num_tokens),
            blocks=torch.tensor(_padded_blocks(span, first, length), device=self._device),
            num_sequences=1,
            mask=self._additive(seen)[None, None],
        )

    def _additive(self, seen: Tensor) -> Tensor:
        zeros = torch.zeros(seen.shape, dtype=self._dtype, device=self._device)
        return zeros.masked_fill_(~seen, float("-inf"))


def _first_key(span: Span, window: int | None) -> int:
    """The first position of the first block that any of the span's queries sees."""
    if window is None:
        return 0
    return max(0, span.start + 1 - window) // BLOCK_SIZE * BLOCK_SIZE


def _padded_blocks(span: Span, first: int, length: int) -> list[int]:
    needed = -(-(span.start + span.num_tokens) // BLOCK_SIZE)
    blocks = list(span.block_table[first // BLOCK_SIZE : needed])
    return blocks + [blocks[-1]] * (length // BLOCK_SIZE - len(blocks))
