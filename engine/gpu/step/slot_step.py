"""A step over slots whose tokens, lengths and tables the device knows.

The host says which slots, how many tokens of each, and how their attention is cut. While the same
slots go on decoding, all of that stays as it is until one of them begins another stretch of keys,
so most steps have nothing to bring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton
from numpy.typing import NDArray
from torch import Tensor

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.gpu.attention.device_work import (
    SMALL_ROWS,
    DeviceStep,
    DeviceWork,
    WorkSizes,
    lay_out_work,
)
from engine.gpu.attention.flash_attention import PagedSequences
from engine.gpu.attention.work_list import STRETCH
from engine.gpu.attention.work_planner import WorkPlanner, sizes_of
from engine.gpu.layout import Ints, Layout, aligned
from engine.gpu.overlap import overlap_options
from engine.gpu.step.request_state import RequestState
from engine.gpu.step.step_kernels import look_up_tokens

_SMALL_BATCHES = (1, 2, 4, 8)
_BATCH_STEP = 8
_LEAST_TOKENS = 32
_LOOK_UP_WIDTH = 128
_PADDED_WITH_NOBODY = ("owners", "slots", "logit_rows")


@dataclass(frozen=True, slots=True)
class StepSizes:
    """How large the parts of a step's buffer are.

    Attributes:
        sequences: Slots in the step.
        work: Of its work lists; its tokens are the step's.
    """

    sequences: int
    work: WorkSizes

    @property
    def is_decode(self) -> bool:
        """Whether every sequence has one new token."""
        return self.sequences == self.work.tokens

    def fits(self, other: StepSizes) -> bool:
        """Whether a step of these sizes can be laid out in the other's."""
        if self.is_decode != other.is_decode:
            return False
        return self.sequences <= other.sequences and self.work.fits(other.work)


@dataclass(frozen=True, slots=True)
class SlotStep:
    """The parts of a step's buffer on the device, all int32.

    Attributes:
        owners: ``[tokens]`` slots, -1 for padding.
        offsets: ``[tokens]`` from what the slot has computed.
        slots: ``[sequences]``, -1 for padding.
        last_tokens: ``[sequences]`` the place of each sequence's last token in the step.
        logit_rows: ``[sequences]`` the sequence's own place where it samples, else -1.
        num_new: ``[sequences]`` new tokens.
        work: By window, each part of its lists by name.
        num_results: Results of pieces.
    """

    owners: Tensor
    offsets: Tensor
    slots: Tensor
    last_tokens: Tensor
    logit_rows: Tensor
    num_new: Tensor
    work: dict[int | None, dict[str, Tensor]]
    num_results: int

    @property
    def is_decode(self) -> bool:
        """Whether every sequence has one new token."""
        return len(self.owners) == len(self.slots)


class SlotPlan:
    """What a step has to do.

    Args:
        slots: In the order of their tokens.
        spans: Their sequences as the host knows them.
        samples: Whether each of them gets a next token.
        planner: Of the model.
    """

    def __init__(
        self,
        slots: Sequence[int],
        spans: Sequence[Span],
        samples: Sequence[bool],
        planner: WorkPlanner,
    ) -> None:
        self._slots = np.asarray(slots, dtype=np.int32)
        self._counts = np.array([span.num_tokens for span in spans], dtype=np.int32)
        self._samples = np.asarray(samples, dtype=np.bool_)
        self._planner = planner
        self._works = planner.plan(spans)
        most = max(int(work.work.ends.max()) for work in self._works.values())
        self._stretches = -(-most // STRETCH)

    @property
    def num_sequences(self) -> int:
        """Slots in the step."""
        return len(self._slots)

    @property
    def samples_any(self) -> bool:
        """Whether any of them gets a next token."""
        return bool(self._samples.any())

    @property
    def sizes(self) -> StepSizes:
        """Just large enough."""
        return StepSizes(self.num_sequences, sizes_of(list(self._works.values())))

    @property
    def rounded_sizes(self) -> StepSizes:
        """What many steps like this one fit."""
        stretches = 1 << (self._stretches - 1).bit_length()
        tokens = int(self._counts.sum())
        if tokens == self.num_sequences:
            return decode_sizes(tokens, stretches, self._planner)
        return mixed_sizes(tokens, self.num_sequences, stretches, self._planner)

    def lay_out(self, sizes: StepSizes, buffer: Ints) -> None:
        """Write everything into a buffer of ``layout_of(...).length`` numbers."""
        num_windows = len(self._works)
        lay_out_nothing(sizes, num_windows, buffer)
        parts = layout_of(sizes, num_windows).in_host(buffer)
        firsts = np.cumsum(self._counts) - self._counts
        places = np.arange(self.num_sequences)
        given: dict[str, NDArray[Any]] = {
            "owners": np.repeat(self._slots, self._counts),
            "offsets": np.arange(int(self._counts.sum())) - np.repeat(firsts, self._counts),
            "slots": self._slots,
            "last_tokens": firsts + self._counts - 1,
            "logit_rows": np.where(self._samples, places, -1),
            "num_new": self._counts,
        }
        for name, numbers in given.items():
            parts[name][: len(numbers)] = numbers
        of_work = Layout(sizes.work.shapes)
        for planned, row in zip(self._works.values(), parts["work"], strict=True):
            work = of_work.in_host(row)
            lay_out_work(planned.work, planned.small, work)
            for pieces, chosen in (("small", planned.small), ("large", ~planned.small)):
                rows = planned.work.pieces[chosen, 2]
                work[pieces][: len(rows), 2] = self._slots[rows]


def lay_out_nothing(sizes: StepSizes, num_windows: int, buffer: Ints) -> None:
    """Fill a buffer with padding alone."""
    parts = layout_of(sizes, num_windows).in_host(buffer)
    for name, part in parts.items():
        part[...] = -1 if name in _PADDED_WITH_NOBODY else 0


def layout_of(sizes: StepSizes, num_windows: int) -> Layout:
    """Return how a step's buffer is laid out."""
    tokens, sequences = (sizes.work.tokens,), (sizes.sequences,)
    return Layout(
        {
            "owners": tokens,
            "offsets": tokens,
            "slots": sequences,
            "last_tokens": sequences,
            "logit_rows": sequences,
            "num_new": sequences,
            "work": (num_windows, Layout(sizes.work.shapes).length),
        }
    )


def read_step(flat: Tensor, sizes: StepSizes, planner: WorkPlanner) -> SlotStep:
    """Return a buffer's parts, as views."""
    parts = layout_of(sizes, len(planner.windows)).on_device(flat)
    of_work = Layout(sizes.work.shapes)
    rows = parts.pop("work")
    work = {w: of_work.on_device(row) for w, row in zip(planner.windows, rows, strict=True)}
    return SlotStep(**parts, work=work, num_results=sizes.work.results)


def look_up(step: SlotStep, state: RequestState) -> DeviceStep:
    """Launch what turns slots into tokens, positions and places.

    Args:
        step: Which slots.
        state: Read, not changed.
    """
    count = len(step.owners)
    room = torch.empty(4, aligned(count), dtype=torch.int32, device=step.owners.device)
    token_ids, positions, kv_slots, ends = room[:, :count]
    look_up_tokens[(triton.cdiv(count, _LOOK_UP_WIDTH),)](
        step.owners,
        step.offsets,
        state.num_computed,
        state.tokens,
        state.tables,
        token_ids,
        positions,
        kv_slots,
        ends,
        count,
        state.tokens.shape[1],
        state.tables.shape[1],
        BLOCK=BLOCK_SIZE,
        WIDTH=_LOOK_UP_WIDTH,
        num_warps=_LOOK_UP_WIDTH // 32,
        **overlap_options(),
    )
    work = {
        window: DeviceWork(**parts, tables=state.tables, ends=ends, num_results=step.num_results)
        for window, parts in step.work.items()
    }
    return DeviceStep(token_ids, positions, kv_slots, work)


def sequences_of(step: SlotStep, state: RequestState) -> PagedSequences:
    """Return a step's sequences as FlashAttention takes them; nothing waits for the device."""
    there = step.slots >= 0
    rows = step.slots.clamp_min(0)
    counts = torch.where(there, step.num_new, 0)
    first_queries = torch.nn.functional.pad(counts.cumsum(0, dtype=torch.int32), (1, 0))
    return PagedSequences(
        first_queries=first_queries,
        lengths=torch.where(there, state.num_computed[rows] + counts, 0),
        tables=state.tables[rows],
        most_queries=1 if step.is_decode else len(step.owners),
    )


def decode_sizes(batch: int, stretches: int, planner: WorkPlanner) -> StepSizes:
    """Return what any batch of single new tokens fits.

    Args:
        batch: Sequences; rounded up.
        stretches: Of the longest context.
        planner: Of the model.
    """
    batch = _rounded_batch(batch)
    fits_small = 0 if planner.one_tile else SMALL_ROWS // planner.share
    small = batch * stretches if fits_small else 0
    large = batch // (fits_small + 1) * stretches
    return StepSizes(batch, WorkSizes(batch, small, large, batch * stretches))


def mixed_sizes(tokens: int, sequences: int, stretches: int, planner: WorkPlanner) -> StepSizes:
    """Return what any step of so many tokens, chunks and decodes together, fits.

    Args:
        tokens: New tokens; rounded up to a power of two.
        sequences: They belong to; rounded up like a batch.
        stretches: Of the longest context.
        planner: Of the model.
    """
    tokens = max(_LEAST_TOKENS, 1 << (tokens - 1).bit_length())
    sequences = min(_rounded_batch(sequences), tokens - 1)
    runs = tokens // planner.most_queries + sequences
    small = 0 if planner.one_tile else runs * stretches
    work = WorkSizes(tokens, small, runs * stretches, tokens * stretches)
    return StepSizes(sequences, work)


def _rounded_batch(batch: int) -> int:
    exact = next((b for b in _SMALL_BATCHES if b >= batch), None)
    return exact or -(-batch // _BATCH_STEP) * _BATCH_STEP
