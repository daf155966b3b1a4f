"""What is kept, and what goes first."""

from __future__ import annotations

import random

from server.characters.kept import Kept


def test_a_value_is_found_again() -> None:
    """By its key; nothing else is."""
    kept: Kept[str, int] = Kept(10)
    kept.put("a", 1, 4)
    assert (kept.get("a"), kept.get("b")) == (1, None)


def test_what_was_asked_for_lately_stays() -> None:
    """The others go, as far as there has to be room."""
    kept: Kept[str, int] = Kept(10)
    for key in ("a", "b", "c"):
        kept.put(key, 0, 3)
    kept.get("a")
    kept.put("d", 0, 3)
    assert [kept.get(key) for key in ("a", "b", "c", "d")] == [0, None, 0, 0]


def test_one_that_costs_too_much_pushes_nobody_out() -> None:
    """It is not kept, and neither is what it stands for."""
    kept: Kept[str, int] = Kept(10)
    kept.put("a", 1, 4)
    kept.put("b", 1, 4)
    kept.put("b", 2, 11)
    assert (kept.get("a"), kept.get("b"), len(kept)) == (1, None, 1)


def test_the_sum_of_costs_is_bounded_whatever_happens() -> None:
    """Against a plain count, over random histories."""
    chance = random.Random(3)
    kept: Kept[int, int] = Kept(100)
    costs: dict[int, int] = {}
    for _ in range(2000):
        key = chance.randrange(30)
        if chance.random() < 0.5:
            kept.get(key)
            continue
        costs[key] = chance.randrange(120)
        kept.put(key, key, costs[key])
        there = [key for key in costs if kept.get(key) is not None]
        assert len(there) == len(kept)
        assert sum(costs[key] for key in there) <= 100
        assert (key in there) == (costs[key] <= 100)
