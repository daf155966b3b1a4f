"""When a batch begins and what is in it."""

from __future__ import annotations

import random

import pytest

from engine.errors import Closed, ConfigError, QueueFull
from engine.single_shot.batch_queue import BatchQueue


@pytest.mark.parametrize("bounds", [(0, 1.0, 9), (2, -1.0, 9), (2, float("nan"), 9), (4, 1.0, 3)])
def test_a_bound_that_cannot_work_is_refused(bounds: tuple[int, float, int]) -> None:
    """By name."""
    with pytest.raises(ConfigError, match="it must be"):
        BatchQueue(*bounds)


def test_a_full_batch_begins_at_once() -> None:
    """And takes no more than it may."""
    queue = BatchQueue(2, 5.0, 8)
    for item in (1, 2, 3):
        queue.put(item, 0.0)
    assert queue.due_at(0.0) == 0.0
    assert queue.take(0.0) == (1, 2)
    assert queue.num_waiting == 1


def test_a_partial_batch_begins_when_its_first_has_waited() -> None:
    """The clock runs from the first item that is still there."""
    queue = BatchQueue(4, 5.0, 8)
    queue.put(1, 0.0)
    queue.put(2, 3.0)
    assert queue.due_at(3.0) == 5.0
    assert queue.take(4.9) == ()
    assert queue.remove(1)
    assert queue.due_at(4.9) == 8.0
    assert queue.take(8.0) == (2,)


def test_one_batch_runs_at_a_time() -> None:
    """What came meanwhile, and has waited long enough, begins when it ends."""
    queue = BatchQueue(2, 1.0, 8)
    queue.put(1, 0.0)
    queue.take(1.0)
    queue.put(2, 1.0)
    assert queue.due_at(9.0) is None
    assert not queue.remove(1)
    queue.finish()
    assert queue.due_at(9.0) == 9.0
    assert queue.take(9.0) == (2,)


def test_bounds_refuse() -> None:
    """Too many, and after closing; those left are named."""
    queue = BatchQueue(1, 1.0, 1)
    queue.put(1, 0.0)
    with pytest.raises(QueueFull, match="limit is 1"):
        queue.put(2, 0.0)
    assert queue.close() == [1]
    with pytest.raises(Closed):
        queue.put(3, 0.0)
    assert queue.due_at(0.0) is None


@pytest.mark.parametrize("seed", range(20))
def test_random_histories_keep_order_and_bounds(seed: int) -> None:
    """Items begin in the order they came, each once, none that left."""
    dice = random.Random(seed)
    queue = BatchQueue(dice.randint(1, 4), dice.choice([0.0, 1.0, 3.0]), 8)
    now, expected = 0.0, list[int]()
    for step in range(300):
        event = dice.choice(["put", "put", "remove", "take", "finish", "pass"])
        if event == "put":
            try:
                queue.put(step, now)
                expected.append(step)
            except QueueFull:
                assert len(expected) == 8
        elif event == "remove" and expected:
            assert queue.remove(expected.pop(dice.randrange(len(expected))))
        elif event == "take":
            due = queue.due_at(now)
            batch = queue.take(now)
            assert bool(batch) == (due == now)
            assert list(batch) == expected[: len(batch)]
            del expected[: len(batch)]
        elif event == "finish":
            queue.finish()
        else:
            now += dice.random()
        queue.check_integrity()
        assert queue.num_waiting == len(expected)
