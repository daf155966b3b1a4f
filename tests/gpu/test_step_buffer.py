"""A step's numbers in one buffer, and what padding does there: nothing."""

from __future__ import annotations

import random
from array import array

import pytest
import torch

from engine.config import BLOCK_SIZE
from engine.gpu.step_buffer import SMALL_ROWS, DeviceWork, StepPlan, StepSizes, send
from engine.model.decode_graphs import rounded
from engine.model.forward import Span

CPU = torch.device("cpu")
WINDOWS = [None, 300]


def decodes(rng: random.Random) -> list[Span]:
    """A batch of single new tokens, of which some share a persona."""
    personas = [[rng.randrange(10_000) for _ in range(40)] for _ in range(2)]
    spans = []
    for _ in range(rng.randrange(1, 40)):
        start = rng.randrange(1200)
        blocks = [*rng.choice(personas), *(rng.randrange(10_000) for _ in range(60))]
        spans.append(Span(start, 1, array("i", blocks[: start // BLOCK_SIZE + 1])))
    return spans


def queries(work: DeviceWork) -> list[tuple[list[int], list[int], int]]:
    """What every piece asks for: its tokens, its blocks, its stretch."""
    found = []
    for place, count, row, stretch in [*work.small.tolist(), *work.large.tolist()]:
        if count:
            tokens = work.order[place : place + count].tolist()
            found.append((tokens, work.tables[row, : stretch * 16 + 16].tolist(), stretch))
    return found


def test_a_step_arrives_as_it_was_planned() -> None:
    """Tokens, their positions, and where their keys go."""
    spans = [Span(14, 4, array("i", [7, 3])), Span(32, 1, array("i", [1, 2, 9]))]
    step = send(StepPlan(spans, [10, 11, 12, 13, 14], [None], 2), [None], CPU)
    assert step.token_ids.tolist() == [10, 11, 12, 13, 14]
    assert step.positions.tolist() == [14, 15, 16, 17, 32]
    assert step.slots.tolist() == [7 * 16 + 14, 7 * 16 + 15, 3 * 16, 3 * 16 + 1, 9 * 16]
    assert step.work[None].ends.tolist() == [15, 16, 17, 18, 33]


@pytest.mark.parametrize("share", [1, 4, 16, 32])
@pytest.mark.parametrize("seed", range(15))
def test_a_graphs_buffer_holds_any_step_of_its_size(seed: int, share: int) -> None:
    """Pieces are the same, padding has no queries, no slots and nowhere to write."""
    spans = decodes(random.Random(seed))
    plan = StepPlan(spans, [5] * len(spans), WINDOWS, share, one_tile=seed % 3 == 0)
    exact, padded = (send(plan, WINDOWS, CPU, sizes) for sizes in (None, rounded(plan)))
    count = plan.num_tokens
    assert padded.token_ids[:count].tolist() == exact.token_ids.tolist()
    assert padded.slots[:count].tolist() == exact.slots.tolist()
    assert set(padded.slots[count:].tolist()) <= {-1}
    for window in WINDOWS:
        work, expected = padded.work[window], exact.work[window]
        width = min(work.tables.shape[1], expected.tables.shape[1])
        assert [(t, b[:width], s) for t, b, s in queries(work)] == [
            (t, b[:width], s) for t, b, s in queries(expected)
        ]
        assert all(n * share <= SMALL_ROWS for n in work.small[:, 1].tolist())
        assert work.first_slots[: count + 1].tolist() == expected.first_slots.tolist()
        assert set(work.first_slots[count:].tolist()) == {int(expected.first_slots[-1])}


def test_one_tile_takes_every_piece() -> None:
    """However few queries it has; in a graph's buffer too."""
    spans = decodes(random.Random(1))
    plans = [StepPlan(spans, [5] * len(spans), [None], 4, one_tile=flag) for flag in (False, True)]
    apart, together = (send(plan, [None], CPU, rounded(plan)).work[None] for plan in plans)
    assert len(together.small) == 0
    assert sorted(queries(together)) == sorted(queries(apart))


def test_few_sizes_serve_many_batches() -> None:
    """Batches are rounded to eights, contexts to powers of two."""

    def sizes(batch: int, context: int) -> StepSizes:
        blocks = array("i", range(context // BLOCK_SIZE + 1))
        return rounded(StepPlan([Span(context, 1, blocks)] * batch, [1] * batch, [None], 4))

    assert sizes(17, 300) == sizes(24, 500)
    assert sizes(3, 10) == sizes(4, 255)
    assert sizes(9, 300) != sizes(9, 600)
