"""Batches in which something cannot be computed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from engine.single_shot.halves import Done, Failed, run_by_halves


class Doubling:
    """Doubles numbers, and will have none of the bad ones; remembers its calls."""

    def __init__(self, bad: Sequence[int] = ()) -> None:
        self.bad = bad
        self.calls: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        for item in items:
            if item in self.bad:
                raise ValueError(f"{item} is bad")
        return [2 * item for item in items]


def test_a_good_batch_is_one_call() -> None:
    """With the results in the items' order."""
    double = Doubling()
    assert run_by_halves(double, [3, 1, 2]) == [Done(6), Done(2), Done(4)]
    assert double.calls == [[3, 1, 2]]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_only_the_guilty_fail(size: int) -> None:
    """Whichever they are: each gets its own error, the others their results in order."""
    items = list(range(size))
    for count in (1, 2):
        for bad in itertools.combinations(items, min(count, size)):
            outcomes = run_by_halves(Doubling(bad), items)
            for item, outcome in zip(items, outcomes, strict=True):
                if item in bad:
                    assert isinstance(outcome, Failed)
                    assert str(outcome.error) == f"{item} is bad"
                else:
                    assert outcome == Done(2 * item)


def test_one_guilty_item_costs_two_calls_per_halving() -> None:
    """Eight items: one call for all, then two for each of three halvings."""
    double = Doubling([5])
    run_by_halves(double, list(range(8)))
    assert len(double.calls) == 7


def test_what_is_no_longer_wanted_is_left_out() -> None:
    """Before the first call and before each further one."""
    double = Doubling([0])
    wanted = {0, 1, 2}
    original = double.__call__

    def leave(items: Sequence[int]) -> list[int]:
        wanted.discard(2)
        return original(items)

    assert run_by_halves(leave, [0, 1, 2, 3], lambda place: place in wanted)[1:] == [
        Done(2),
        None,
        None,
    ]
    assert double.calls == [[0, 1, 2], [0], [1]]


def test_a_wrong_number_of_results_fails() -> None:
    """It cannot be told whose they are."""
    outcomes = run_by_halves(lambda items: [0, 0], [1])
    assert isinstance(outcomes[0], Failed)
    assert "2 results for 1 items" in str(outcomes[0].error)


def test_what_is_no_exception_ends_the_batch() -> None:
    """Nothing is tried again; what had its result keeps it."""
    calls = []

    def run(items: Sequence[int]) -> list[int]:
        calls.append(len(items))
        raise ValueError if len(calls) == 1 else SystemExit

    outcomes = run_by_halves(run, [1, 2, 3, 4])
    assert calls == [4, 2]
    assert all(isinstance(one, Failed) and type(one.error) is SystemExit for one in outcomes)
