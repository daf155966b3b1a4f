"""A step over slots: what the host lays out, and what the device makes of it."""

from __future__ import annotations

import random
from array import array

import numpy as np
import pytest
import torch

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.gpu.attention.device_work import SMALL_ROWS, DeviceStep, DeviceWork
from engine.gpu.attention.span_step import send_spans
from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.step.request_state import RequestState
from engine.gpu.step.slot_step import SlotPlan, SlotStep, StepSizes, layout_of, look_up, read_step

WINDOWS = [None, 300]
NUM_SLOTS = 48


def sequences(rng: random.Random, *, chunks: bool) -> list[Span]:
    """Single new tokens, of which some share a persona, and prompt chunks if wanted."""
    personas = [[rng.randrange(10_000) for _ in range(40)] for _ in range(2)]
    spans = []
    for _ in range(rng.randrange(1, 40)):
        start = rng.randrange(1200)
        count = rng.choice([1, 1, 1, rng.randrange(1, 40)]) if chunks else 1
        blocks = [*rng.choice(personas), *(rng.randrange(10_000) for _ in range(80))]
        table = array("i", blocks[: (start + count - 1) // BLOCK_SIZE + 1])
        spans.append(Span(start, count, table))
    return spans


class Batch:
    """Sequences in slots of the device's state, and a step over them."""

    def __init__(self, spans: list[Span], planner: WorkPlanner, device: torch.device) -> None:
        rng = random.Random(len(spans))
        self.spans, self.planner = spans, planner
        self.slots = rng.sample(range(NUM_SLOTS), len(spans))
        self.ids = [rng.choices(range(1000), k=span.start + span.num_tokens) for span in spans]
        self.state = RequestState(NUM_SLOTS, 1300, device)
        for slot, span, ids in zip(self.slots, spans, self.ids, strict=True):
            self.state.load(
                slot,
                ids,
                num_prompt_tokens=1,
                num_computed=span.start,
                block_table=span.block_table,
            )
        self.plan = SlotPlan(self.slots, spans, [True] * len(spans), planner)

    def laid_out(self, sizes: StepSizes) -> SlotStep:
        """On the device, in a buffer of some size that was dirty before."""
        length = layout_of(sizes, len(self.planner.windows)).length
        numbers = np.full(length, 77, dtype=np.int32)
        self.plan.lay_out(sizes, numbers)
        flat = torch.from_numpy(numbers).to(self.state.tokens.device)
        return read_step(flat, sizes, self.planner)

    def brought(self) -> DeviceStep:
        """The same step with everything brought along."""
        new = [i for s, ids in zip(self.spans, self.ids, strict=True) for i in ids[s.start :]]
        return send_spans(self.spans, new, self.planner, self.state.tokens.device)


def queries(work: DeviceWork) -> list[tuple[list[int], list[int], int]]:
    """What every piece asks for: its tokens, its blocks, its stretch."""
    found = []
    for place, count, row, stretch in [*work.small.tolist(), *work.large.tolist()]:
        if count:
            tokens = work.order[place : place + count].tolist()
            most = -(-max(work.ends[token] for token in tokens) // BLOCK_SIZE)
            blocks = work.tables[row, stretch * 16 : min(most, stretch * 16 + 16)].tolist()
            found.append((tokens, blocks, stretch))
    return found


@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("share", [1, 4, 16, 32])
@pytest.mark.parametrize("seed", range(6))
def test_the_device_finds_in_its_state_what_the_host_would_have_brought(
    seed: int, share: int, chunks: bool, device: torch.device
) -> None:
    """Tokens, positions, places and pieces; padding sees nothing and is stored nowhere."""
    planner = WorkPlanner(WINDOWS, 2 * share, 2)
    batch = Batch(sequences(random.Random(seed), chunks=chunks), planner, device)
    expected = batch.brought()
    count = len(expected.token_ids)
    for sizes in (batch.plan.sizes, batch.plan.rounded_sizes):
        found = look_up(batch.laid_out(sizes), batch.state)
        for name in ("token_ids", "positions", "kv_slots"):
            numbers = getattr(found, name).tolist()
            assert numbers[:count] == getattr(expected, name).tolist()
            assert set(numbers[count:]) <= {-1 if name == "kv_slots" else 0}
        for window in WINDOWS:
            work, other = found.work[window], expected.work[window]
            assert queries(work) == queries(other)
            assert all(n * share <= SMALL_ROWS for n in work.small[:, 1].tolist())
            assert work.ends.tolist() == [*other.ends.tolist(), *[0] * (len(work.ends) - count)]
            firsts = work.first_results.tolist()
            assert firsts[: count + 1] == other.first_results.tolist()
            assert set(firsts[count:]) == {int(other.first_results[-1])}


def test_with_one_tile_every_piece_goes_to_it(device: torch.device) -> None:
    """So that a token meets the same instructions whoever is beside it."""
    planner = WorkPlanner(WINDOWS, 8, 2, one_tile=True)
    batch = Batch(sequences(random.Random(3), chunks=True), planner, device)
    for sizes in (batch.plan.sizes, batch.plan.rounded_sizes):
        step = batch.laid_out(sizes)
        assert all(len(parts["small"]) == 0 for parts in step.work.values())


@pytest.mark.parametrize("batch", [1, 3, 6])
def test_every_part_is_aligned_whatever_the_sizes(batch: int, device: torch.device) -> None:
    """Or kernels would be compiled for each alignment."""
    planner = WorkPlanner(WINDOWS, 8, 2)
    made = Batch([Span(300, 1, array("i", range(19)))] * batch, planner, device)
    step = made.laid_out(made.plan.rounded_sizes)
    found = look_up(step, made.state)
    parts = [step.owners, step.offsets, step.slots, step.last_tokens, step.logit_rows, step.num_new]
    parts += [part for work in step.work.values() for part in work.values()]
    parts += [found.token_ids, found.positions, found.kv_slots, found.work[None].ends]
    assert {part.data_ptr() % 16 for part in parts if part.numel()} == {0}


def test_few_sizes_serve_many_batches() -> None:
    """Batches are rounded to eights, contexts and chunks to powers of two."""
    planner = WorkPlanner([None], 8, 2)

    def sizes(batch: int, context: int, count: int = 1) -> StepSizes:
        blocks = array("i", range((context + count) // BLOCK_SIZE + 1))
        spans = [*[Span(context, 1, blocks)] * (batch - 1), Span(context, count, blocks)]
        return SlotPlan(range(batch), spans, [True] * batch, planner).rounded_sizes

    assert sizes(17, 300) == sizes(24, 500)
    assert sizes(3, 10) == sizes(4, 255)
    assert sizes(9, 300) != sizes(9, 600)
    assert sizes(9, 300, 40) == sizes(16, 300, 48)
    assert sizes(9, 300, 40) != sizes(9, 300, 100)


def test_blocks_are_put_behind_the_tables_of_some_slots(device: torch.device) -> None:
    """And nowhere else."""
    state = RequestState(3, 100, device)
    state.load(1, [5, 6], num_prompt_tokens=2, num_computed=0, block_table=[9])
    state.extend_tables([(1, 1, [7, 8]), (2, 0, [3])])
    assert state.tables.tolist() == [[0] * 7, [9, 7, 8, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0]]
