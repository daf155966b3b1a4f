"""Host memory for blocks that lost their place on the device: allocated once, never grown.

A block is one row there, all its layers side by side, because a copy engine is fastest with large
pieces (vLLM found 0.5 to 2 MB worth a change of its layout). Blocks are gathered into such rows on
the device first, in the stream that computes, and rows travel in streams of their own. So nothing
but the computing stream ever touches the blocks: a move can neither overtake what still reads or
writes them nor be overtaken (vLLM met both).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine.attention.kv_store import BlockStore
from engine.attention.lanes import Lanes, Mark, lanes_of

_STAGING_BYTES = 32 * 2**20
"""Of one buffer; a move that needs more goes in several."""
_BUFFERS = 2
"""For each direction: one is filled while the other is copied."""
_SLAB_BYTES = 256 * 2**20
"""Host memory is taken in pieces: torch rounds pinned memory up to powers of two."""


def staging_bytes(block_bytes: int, num_slots: int) -> int:
    """Return the device memory that moving blocks takes.

    Args:
        block_bytes: Of one block, all layers together.
        num_slots: Blocks that host memory holds.
    """
    return 2 * _BUFFERS * _rows_of_staging(block_bytes, num_slots) * block_bytes


def _rows_of_staging(block_bytes: int, num_slots: int) -> int:
    return min(num_slots, max(1, _STAGING_BYTES // block_bytes))


@dataclass(slots=True)
class _Staging:
    """A buffer on the device, and when whoever used it last is done with it."""

    rows: Tensor
    free: Mark


class HostStore:
    """Copies of blocks of a `BlockStore`, by host slot.

    The host waits for no copy, and never looks at what is copied. A slot is not read while a copy
    into it is under way, by its mark; nor overwritten while one out of it is, because blocks that
    are gathered have waited in the computing stream for all that was restored before.

    Args:
        store: Where blocks come from and go to.
        num_slots: Blocks that fit.
        lanes: What gathers and copies; the device's own if none are given.
    """

    def __init__(self, store: BlockStore, num_slots: int, lanes: Lanes | None = None) -> None:
        self._store = store
        self._lanes = lanes or lanes_of(store.device)
        self._words = [stack.flatten(2).view(torch.int64) for stack in store.stacks]
        width = sum(words.shape[0] * words.shape[2] for words in self._words)
        self._per_slab = max(1, _SLAB_BYTES // (width * 8))
        self._slabs = [
            torch.zeros(
                min(self._per_slab, num_slots - first),
                width,
                dtype=torch.int64,
                pin_memory=store.device.type == "cuda",
            )
            for first in range(0, num_slots, self._per_slab)
        ]
        self._per_move = _rows_of_staging(width * 8, num_slots)
        shape = (_BUFFERS, self._per_move, width)
        self._outward, self._inward = (
            [
                # what had this memory before may not have been computed yet
                _Staging(rows, self._lanes.computing.mark())
                for rows in torch.empty(shape, dtype=torch.int64, device=store.device)
            ]
            for _ in range(2)
        )
        self._written: dict[int, Mark] = {}

    @property
    def num_bytes(self) -> int:
        """Host memory held."""
        return sum(slab.numel() * slab.element_size() for slab in self._slabs)

    def offload(self, moves: Sequence[tuple[int, int]]) -> None:
        """Copy ``(block, slot)`` out of the device; the blocks stay as they are."""
        computing, outward = self._lanes.computing, self._lanes.outward
        for part in self._parts(moves):
            blocks, slots = [block for block, _ in part], [slot for _, slot in part]
            staging = _next(self._outward)
            rows = staging.rows[: len(part)]
            computing.wait(staging.free)
            computing.run(partial(self._gather, self._store.indices(blocks), rows))
            outward.wait(computing.mark())
            for first, run in self._runs(slots):
                outward.run(partial(_copy, rows[first : first + len(run)], run))
            staging.free = outward.mark()
            self._written.update(dict.fromkeys(slots, staging.free))

    def restore(self, moves: Sequence[tuple[int, int]]) -> None:
        """Copy ``(slot, block)`` back to the device; the slots stay as they are."""
        computing, inward = self._lanes.computing, self._lanes.inward
        for part in self._parts(moves):
            slots, blocks = [slot for slot, _ in part], [block for _, block in part]
            staging = _next(self._inward)
            rows = staging.rows[: len(part)]
            inward.wait(staging.free)
            for mark in _distinct(self._written.pop(slot, None) for slot in slots):
                inward.wait(mark)
            for first, run in self._runs(slots):
                inward.run(partial(_copy, run, rows[first : first + len(run)]))
            computing.wait(inward.mark())
            computing.run(partial(self._scatter, rows, self._store.indices(blocks)))
            staging.free = computing.mark()

    def _parts(self, moves: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
        for first in range(0, len(moves), self._per_move or 1):
            yield moves[first : first + self._per_move]

    def _gather(self, blocks: Tensor, rows: Tensor) -> None:
        for words, part in self._side_by_side(rows):
            torch.index_select(words, 1, blocks, out=part)

    def _scatter(self, rows: Tensor, blocks: Tensor) -> None:
        for words, part in self._side_by_side(rows):
            words.index_copy_(1, blocks, part)

    def _side_by_side(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each stack with its part of some rows, ``[layers, rows, words]``."""
        at = 0
        for words in self._words:
            layers, _, width = words.shape
            part = rows[:, at : at + layers * width].view(len(rows), layers, width)
            yield words, part.transpose(0, 1)
            at += layers * width

    def _runs(self, slots: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """Yield slots that lie side by side as one piece of memory, with the place of the first."""
        first = 0
        for i in range(1, len(slots) + 1):
            if i < len(slots) and slots[i] == slots[i - 1] + 1 and slots[i] % self._per_slab:
                continue
            slab, row = divmod(slots[first], self._per_slab)
            yield first, self._slabs[slab][row : row + i - first]
            first = i


def _next(buffers: list[_Staging]) -> _Staging:
    """Return the buffer that was used longest ago."""
    buffers.append(buffers.pop(0))
    return buffers[-1]


def _distinct(marks: Iterable[Mark]) -> list[Mark]:
    return list({id(mark): mark for mark in marks if mark is not None}.values())


def _copy(source: Tensor, destination: Tensor) -> None:
    destination.copy_(source, non_blocking=True)
