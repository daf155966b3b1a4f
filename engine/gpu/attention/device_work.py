"""What the device needs to know of a step's attention.

A work list is laid out in a flat buffer by a few sizes. With sizes rounded up, steps of different
batches share a layout, and a captured graph can be replayed over it: what is padding computes
nothing, or writes where nobody looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.gpu.attention.flash_attention import PagedSequences
from engine.gpu.attention.work_list import WorkList
from engine.gpu.layout import Ints

SMALL_ROWS = 16
"""The least that a matrix unit takes; pieces of a decode step mostly fit."""
LARGE_ROWS = 64


@dataclass(frozen=True, slots=True)
class WorkSizes:
    """How large a work list is.

    Attributes:
        tokens: New tokens of the step.
        small: Pieces whose queries fit the small tile.
        large: Other pieces.
        results: Of pieces, all tokens together.
    """

    tokens: int
    small: int
    large: int
    results: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parts that a work list is laid out in."""
        return {
            "small": (self.small, 4),
            "large": (self.large, 4),
            "order": (self.results,),
            "first_results": (self.tokens + 1,),
            "first_stretches": (self.tokens,),
        }

    def fits(self, other: WorkSizes) -> bool:
        """Whether a work list of these sizes can be laid out in the other's."""
        mine, others = ((s.tokens, s.small, s.large, s.results) for s in (self, other))
        return all(m <= o for m, o in zip(mine, others, strict=True))


@dataclass(frozen=True, slots=True)
class DeviceWork:
    """A work list where the kernels read it; see `engine.gpu.attention.work_list.WorkList`.

    Attributes:
        small: ``[pieces, 4]`` for the small tile; those without queries are padding.
        large: ``[pieces, 4]`` for the large one.
        order: ``[places]``.
        first_results: ``[tokens + 1]``.
        first_stretches: ``[tokens]``.
        tables: ``[rows, blocks]`` block ids, the rows that pieces are read by.
        ends: ``[tokens]`` how many keys of its sequence each token sees.
        num_results: Results of pieces, padding included.
    """

    small: Tensor
    large: Tensor
    order: Tensor
    first_results: Tensor
    first_stretches: Tensor
    tables: Tensor
    ends: Tensor
    num_results: int


@dataclass(frozen=True, slots=True)
class DeviceStep:
    """One step's numbers on the device, all int32.

    Attributes:
        token_ids: ``[tokens]``.
        positions: ``[tokens]``.
        kv_slots: ``[tokens]`` where keys and values go, ``block * block_size + offset``; -1 for
            nowhere.
        work: By window.
        sequences: As FlashAttention takes them, where this step is left to it.
    """

    token_ids: Tensor
    positions: Tensor
    kv_slots: Tensor
    work: dict[int | None, DeviceWork]
    sequences: PagedSequences | None = None


def is_small(work: WorkList, share: int, *, one_tile: bool) -> NDArray[np.bool_]:
    """Tell which pieces fit the small tile.

    Args:
        work: Pieces.
        share: Query heads per key head.
        one_tile: Whether all go to the large one regardless.
    """
    fits: NDArray[np.bool_] = work.pieces[:, 1] * share <= SMALL_ROWS
    return np.zeros_like(fits) if one_tile else fits


def lay_out_work(work: WorkList, small: NDArray[np.bool_], parts: Mapping[str, Ints]) -> None:
    """Write a work list into its parts of a buffer, with nothing to do in what is left over."""
    found = {
        "small": work.pieces[small],
        "large": work.pieces[~small],
        "order": work.order,
        "first_results": work.first_results,
        "first_stretches": work.first_stretches,
    }
    for name, numbers in found.items():
        part = parts[name]
        part[...] = work.num_results if name == "first_results" else 0
        part[tuple(slice(n) for n in numbers.shape)] = numbers
