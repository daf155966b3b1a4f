"""Each name has its rate, and strangers cannot fill the memory with names."""

from __future__ import annotations

import random

import pytest

from server.limits.keyed_rate import KeyedRate


def test_names_do_not_share() -> None:
    """What one has used up another still has."""
    rate = KeyedRate(rate=2, burst=1)
    assert rate.take("a", 0) == 0
    assert rate.take("a", 0) == pytest.approx(0.5)
    assert rate.take("b", 0) == 0


def test_being_refused_costs_nothing() -> None:
    """Who knocks all the time is let in as soon as who waits."""
    rate = KeyedRate(rate=1, burst=1)
    assert rate.take("a", 0) == 0
    for n in range(1, 10):
        assert rate.take("a", n / 10) > 0
    assert rate.take("a", 1.0) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_memory_is_bounded_and_those_seen_of_late_stay(seed: int) -> None:
    """However many names come."""
    rng = random.Random(seed)
    rate = KeyedRate(rate=0.001, burst=1, max_names=10)
    seen: list[str] = []
    for step in range(1000):
        name = str(rng.randrange(30))
        wait = rate.take(name, step / 1000)
        is_remembered = name in list(dict.fromkeys(reversed(seen)))[:10]
        assert (wait > 0) == is_remembered
        seen.append(name)
        assert len(rate) <= 10
