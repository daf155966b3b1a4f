"""One step's numbers in one flat buffer, so that one copy brings them to the device.

The buffer's layout follows from a few sizes. With sizes rounded up, steps of different batches
share a layout, and a captured graph can be replayed over it: what is padding computes nothing, or
writes where nobody looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.gpu.work_list import STRETCH, Ints, WorkList, plan_work

SMALL_ROWS = 16
"""The least that a matrix unit takes; pieces of a decode step mostly fit."""
LARGE_ROWS = 64


@dataclass(frozen=True, slots=True)
class StepSizes:
    """How large the parts of a step's buffer are.

    Attributes:
        tokens: New tokens.
        sequences: Rows of the block tables.
        table_width: Blocks in a row.
        small: Pieces whose queries fit the small tile.
        large: Other pieces.
        slots: Results of pieces, all tokens together.
    """

    tokens: int
    sequences: int
    table_width: int
    small: int
    large: int
    slots: int

    @classmethod
    def of_decodes(
        cls, batch: int, table_width: int, share: int, *, one_tile: bool = False
    ) -> StepSizes:
        """Return what any batch of single new tokens fits.

        Args:
            batch: Sequences.
            table_width: Blocks of the longest one.
            share: Query heads per key head.
            one_tile: Whether all pieces go to the large tile.
        """
        least_of_large = 1 if one_tile else SMALL_ROWS // share + 1
        stretches = -(-table_width * BLOCK_SIZE // STRETCH)
        return cls(
            tokens=batch,
            sequences=batch,
            table_width=table_width,
            small=batch * stretches if share <= SMALL_ROWS and not one_tile else 0,
            large=batch // least_of_large * stretches,
            slots=batch * stretches,
        )

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """The shape of each part that a work list has, in the order of the buffer."""
        return {
            "small": (self.small, 4),
            "large": (self.large, 4),
            "order": (self.slots,),
            "tables": (self.sequences, self.table_width),
            "ends": (self.tokens,),
            "first_slots": (self.tokens + 1,),
            "first_stretches": (self.tokens,),
        }


@dataclass(frozen=True, slots=True)
class DeviceWork:
    """A work list where the kernels read it; see `engine.gpu.work_list.WorkList`.

    Attributes:
        small: ``[pieces, 4]`` for the small tile; those without queries are padding.
        large: ``[pieces, 4]`` for the large one.
        num_slots: Results of pieces, padding included.
    """

    small: Tensor
    large: Tensor
    order: Tensor
    tables: Tensor
    ends: Tensor
    first_slots: Tensor
    first_stretches: Tensor
    num_slots: int


@dataclass(frozen=True, slots=True)
class DeviceStep:
    """One step's numbers on the device, all int32.

    Attributes:
        token_ids: ``[tokens]``.
        positions: ``[tokens]``.
        slots: ``[tokens]`` where keys and values go, ``block * block_size + offset``; -1 for
            nowhere.
        work: By window.
    """

    token_ids: Tensor
    positions: Tensor
    slots: Tensor
    work: dict[int | None, DeviceWork]


class StepPlan:
    """What a step has to do, before it is laid out.

    Args:
        spans: The sequences, in the order of their tokens.
        token_ids: Their new tokens.
        windows: The windows that the model's layers have.
        share: Query heads per key head.
        shares: Whether sequences with a common beginning read it together.
        one_tile: Whether all pieces go to the large tile, so that none is computed by other
            instructions when it has fewer queries.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        token_ids: Sequence[int],
        windows: Sequence[int | None],
        share: int,
        *,
        shares: bool = True,
        one_tile: bool = False,
    ) -> None:
        most = max(1, LARGE_ROWS // share)
        self._share = share
        self._one_tile = one_tile
        self._works = {
            w: plan_work(spans, window=w, most_queries=most, shares=shares) for w in windows
        }
        any_work = next(iter(self._works.values()))
        counts = np.array([span.num_tokens for span in spans])
        owners = np.repeat(np.arange(len(spans)), counts)
        positions = any_work.ends - 1
        blocks = any_work.tables[owners, positions // BLOCK_SIZE]
        slots = blocks * BLOCK_SIZE + positions % BLOCK_SIZE
        self._tokens = np.stack([np.asarray(token_ids, dtype=np.int32), positions, slots])

    @property
    def num_tokens(self) -> int:
        """New tokens."""
        return int(self._tokens.shape[1])

    @property
    def share(self) -> int:
        """Query heads per key head."""
        return self._share

    @property
    def one_tile(self) -> bool:
        """Whether all pieces go to the large tile."""
        return self._one_tile

    @property
    def sizes(self) -> StepSizes:
        """Just large enough."""
        works = list(self._works.values())
        small = [int(self._is_small(work).sum()) for work in works]
        return StepSizes(
            tokens=self.num_tokens,
            sequences=works[0].tables.shape[0],
            table_width=works[0].tables.shape[1],
            small=max(small),
            large=max(len(w.pieces) - s for w, s in zip(works, small, strict=True)),
            slots=max(work.num_slots for work in works),
        )

    def lay_out(self, sizes: StepSizes, buffer: Ints) -> None:
        """Write everything into a buffer of `buffer_length` numbers."""
        tokens, rest = buffer[: 3 * sizes.tokens].reshape(3, -1), buffer[3 * sizes.tokens :]
        count = self.num_tokens
        tokens[:, :count] = self._tokens
        tokens[:2, count:] = 0
        tokens[2, count:] = -1
        for work in self._works.values():
            small = self._is_small(work)
            for name, shape in sizes.parts.items():
                length = int(np.prod(shape))
                part, rest = rest[:length].reshape(shape), rest[length:]
                found = work.pieces[small] if name == "small" else None
                found = work.pieces[~small] if name == "large" else found
                found = getattr(work, name) if found is None else found
                part[...] = work.first_slots[-1] if name == "first_slots" else 0
                part[tuple(slice(n) for n in found.shape)] = found

    def _is_small(self, work: WorkList) -> np.ndarray:
        most = 0 if self._one_tile else SMALL_ROWS
        return work.pieces[:, 1] * self._share <= most


def buffer_length(sizes: StepSizes, num_windows: int) -> int:
    """Return how many numbers a step's buffer has."""
    work = sum(int(np.prod(shape)) for shape in sizes.parts.values())
    return 3 * sizes.tokens + num_windows * work


def read_buffer(flat: Tensor, sizes: StepSizes, windows: Sequence[int | None]) -> DeviceStep:
    """Return a buffer's parts, as views.

    Args:
        flat: ``[buffer_length]`` int32.
        sizes: By which it was laid out.
        windows: In the order of the plan.
    """
    token_ids, positions, slots = flat[: 3 * sizes.tokens].view(3, -1)
    rest = flat[3 * sizes.tokens :]
    work = {}
    for window in windows:
        parts = {}
        for name, shape in sizes.parts.items():
            length = int(np.prod(shape))
            parts[name], rest = rest[:length].view(shape), rest[length:]
        work[window] = DeviceWork(**parts, num_slots=sizes.slots)
    return DeviceStep(token_ids, positions, slots, work)


def send(
    plan: StepPlan,
    windows: Sequence[int | None],
    device: torch.device,
    sizes: StepSizes | None = None,
) -> DeviceStep:
    """Bring a step to the device in a buffer of its own.

    Args:
        plan: What to bring.
        windows: As it was planned.
        device: Where to.
        sizes: Just large enough if none are given.
    """
    sizes = sizes or plan.sizes
    flat = torch.empty(
        buffer_length(sizes, len(windows)), dtype=torch.int32, pin_memory=device.type == "cuda"
    )
    plan.lay_out(sizes, flat.numpy())
    return read_buffer(flat.to(device, non_blocking=True), sizes, windows)
