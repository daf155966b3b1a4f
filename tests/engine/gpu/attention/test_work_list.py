"""How a step's attention is cut: every query meets each of its keys once, shared ones together."""

from __future__ import annotations

import random
from array import array
from collections import Counter

import pytest

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.gpu.attention.work_list import STRETCH, WorkList, plan_work

PER_STRETCH = STRETCH // BLOCK_SIZE


def span(start: int, num_tokens: int, blocks: list[int]) -> Span:
    """A sequence whose last block is the last one that it needs."""
    return Span(start, num_tokens, array("i", blocks[: -(-(start + num_tokens) // BLOCK_SIZE)]))


def met(work: WorkList) -> Counter[tuple[int, int]]:
    """How often each token meets each stretch."""
    found: Counter[tuple[int, int]] = Counter()
    for place, count, _, stretch in work.pieces.tolist():
        found.update((token, stretch) for token in work.order[place : place + count].tolist())
    return found


def test_a_token_has_one_slot_for_each_stretch_that_it_sees() -> None:
    """A prompt chunk across a border, and a decode at its very start."""
    work = plan_work(
        [span(250, 10, list(range(40))), span(STRETCH, 1, list(range(50, 90)))],
        window=None,
        most_queries=16,
    )
    assert work.ends.tolist() == [*range(251, 261), STRETCH + 1]
    assert work.first_results.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16]
    assert work.num_results == 16


def test_what_many_share_is_one_piece_for_all_of_them() -> None:
    """Two characters with two listeners each, and one that nobody shares."""
    one, other = list(range(PER_STRETCH)), list(range(100, 100 + PER_STRETCH))
    spans = [
        span(300, 1, [*one, 200, 201, 202]),
        span(310, 1, [*other, 210, 211, 212, 213]),
        span(270, 1, [*one, 220, 221]),
        span(400, 1, list(range(300, 330))),
        span(290, 1, [*other, 230, 231, 232]),
    ]
    work = plan_work(spans, window=None, most_queries=16)
    shared = [
        sorted(work.order[place : place + count].tolist())
        for place, count, _, stretch in work.pieces.tolist()
        if stretch == 0
    ]
    assert sorted(shared) == [[0, 2], [1, 4], [3]]
    assert all(count == 1 for _, count, _, stretch in work.pieces.tolist() if stretch == 1)


def test_a_stretch_that_somebody_still_fills_is_not_shared() -> None:
    """The blocks are the same so far, but what follows in the last one is not."""
    blocks = list(range(PER_STRETCH))
    work = plan_work([span(100, 1, blocks), span(200, 1, blocks)], window=None, most_queries=16)
    assert work.pieces[:, 1].tolist() == [1, 1]


def test_without_sharing_each_reads_for_itself() -> None:
    """For comparison, and where one tile for many does not pay."""
    blocks = list(range(2 * PER_STRETCH))
    spans = [span(300, 1, blocks), span(300, 1, blocks)]
    assert len(plan_work(spans, window=None, most_queries=16).pieces) == 3
    assert len(plan_work(spans, window=None, most_queries=16, shares=False).pieces) == 4


def test_a_window_leaves_out_what_nobody_sees() -> None:
    """Its first stretch has slot 0."""
    work = plan_work([span(1000, 1, list(range(70)))], window=300, most_queries=16)
    assert met(work) == Counter({(0, 2): 1, (0, 3): 1})
    assert work.first_stretches.tolist() == [2]


@pytest.mark.parametrize("window", [None, 1, 40, 300])
@pytest.mark.parametrize("seed", range(20))
def test_every_query_meets_each_stretch_that_it_sees_once(seed: int, window: int | None) -> None:
    """Whatever the batch; and every query of a piece may read by the piece's table."""
    rng = random.Random(seed)
    personas = [[rng.randrange(10_000) for _ in range(64)] for _ in range(3)]
    spans = []
    for _ in range(rng.randrange(1, 12)):
        start = rng.randrange(900)
        num_tokens = rng.choice([1, 1, 1, rng.randrange(2, 90)])
        persona = rng.choice(personas)[: rng.choice([0, 16, 17, 40])]
        own = [rng.randrange(10_000) for _ in range(70)]
        spans.append(span(start, num_tokens, [*persona, *own]))
    most = rng.choice([1, 4, 16])
    work = plan_work(spans, window=window, most_queries=most, shares=rng.random() < 0.8)
    owners = [i for i, s in enumerate(spans) for _ in range(s.num_tokens)]
    expected: Counter[tuple[int, int]] = Counter()
    for token, end in enumerate(work.ends.tolist()):
        lowest = 0 if window is None else max(0, end - window)
        expected.update((token, s) for s in range(lowest // STRETCH, -(-end // STRETCH)))
    assert met(work) == expected
    assert work.num_results == expected.total()
    for place, count, table, stretch in work.pieces.tolist():
        assert 1 <= count <= most
        for token in work.order[place : place + count].tolist():
            blocks = slice(stretch * PER_STRETCH, -(-int(work.ends[token]) // BLOCK_SIZE))
            own = spans[owners[token]].block_table[blocks][:PER_STRETCH]
            assert work.tables[table][blocks][: len(own)].tolist() == list(own)
