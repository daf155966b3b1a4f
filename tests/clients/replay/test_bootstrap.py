"""Intervals of changes, on data whose truth is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from clients.replay.bootstrap import (
    LEAST_SESSIONS,
    Change,
    Counts,
    Quantity,
    Statistic,
    changes,
    outside_share,
    percentile_of,
    rate_of,
    ratio_of,
)


def counts(*rows: list[int]) -> Counts:
    """Return how often each session was drawn."""
    return np.array(rows, dtype=np.int64)


def mean_of(values: list[float]) -> Statistic:
    """Return the mean over sessions of one value each."""
    return ratio_of(values, [1.0] * len(values))


def change_of(before: list[float], after: list[float], *, paired: bool, seed: int = 0) -> Change:
    """Return how the mean changed."""
    quantity = Quantity(mean_of(before), mean_of(after))
    (change,) = changes(
        [quantity], len(before), len(after), paired=paired, seed=seed, resamples=400
    )
    return change


def test_a_percentile_is_that_of_the_drawn_values() -> None:
    """As numpy computes it when every value stands there as often as its session was drawn."""
    dice = np.random.default_rng(1)
    values, owners = dice.normal(size=50), dice.integers(0, 7, size=50)
    drawn = dice.integers(0, 4, size=(20, 7))
    for percent in (0.0, 50.0, 99.0, 100.0):
        found = percentile_of(list(values), list(owners), percent)(drawn)
        expected = [np.percentile(np.repeat(values, row[owners]), percent) for row in drawn]
        assert found == pytest.approx(expected)


def test_what_no_drawn_session_has_is_not_a_number() -> None:
    """Neither a percentile nor a ratio of nothing."""
    assert math.isnan(percentile_of([1.0], [0], 50.0)(counts([0, 2]))[0])
    assert math.isnan(percentile_of([], [], 50.0)(counts([1, 1]))[0])
    assert math.isnan(ratio_of([1.0, 0.0], [1.0, 0.0])(counts([0, 2]))[0])


def test_a_rate_is_over_the_time_of_the_drawn_sessions() -> None:
    """Without the last session the run would have been over at 4."""
    statistic = rate_of([10.0, 10.0], [0.0, 1.0], [4.0, 10.0])
    assert list(statistic(counts([1, 1], [2, 0]))) == [2.0, 5.0]


@pytest.mark.parametrize("paired", [False, True])
def test_equal_runs_did_not_change(paired: bool) -> None:
    """The interval holds 0."""
    values = list(np.random.default_rng(2).normal(10.0, 2.0, size=60))
    change = change_of(values, values, paired=paired)
    assert change.relative == 0.0
    assert change.low <= 0.0 <= change.high


@pytest.mark.parametrize("paired", [False, True])
def test_a_shifted_copy_changed_by_as_much(paired: bool) -> None:
    """Half as much again, and surely more than a quarter."""
    values = list(np.random.default_rng(3).normal(10.0, 2.0, size=60))
    change = change_of(values, [1.5 * value for value in values], paired=paired)
    assert change.relative == pytest.approx(0.5)
    assert change.low > 0.25


def test_pairs_are_surer_than_strangers() -> None:
    """What differs between conversations is not noise where both runs had the same ones."""
    dice = np.random.default_rng(4)
    before = list(dice.normal(10.0, 5.0, size=80))
    after = [value + dice.normal(0.5, 0.1) for value in before]
    paired, apart = (change_of(before, after, paired=pairs) for pairs in (True, False))
    assert paired.low > 0.0 > apart.low
    assert paired.high - paired.low < (apart.high - apart.low) / 5


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """150 seeded pairs of runs of 50 sessions, the truth being +10 %.

    95 % of 150 are 142.5 with a deviation of 2.7.
    """
    dice = np.random.default_rng(5)
    covered = 0
    for seed in range(150):
        before, after = dice.normal(10.0, 1.0, size=50), dice.normal(11.0, 1.0, size=50)
        change = change_of(list(before), list(after), paired=False, seed=seed)
        covered += change.low <= 0.1 <= change.high
    assert 134 <= covered <= 150


def test_the_same_seed_draws_the_same() -> None:
    """And another one does not."""
    dice = np.random.default_rng(6)
    before, after = list(dice.normal(10, 1, size=20)), list(dice.normal(10, 1, size=20))
    first, again, other = (change_of(before, after, paired=False, seed=s) for s in (7, 7, 8))
    assert first == again
    assert first != other


@pytest.mark.parametrize("count", [1, LEAST_SESSIONS - 1])
def test_few_sessions_have_no_interval(count: int) -> None:
    """Drawn again and again they are always themselves, which would look like certainty."""
    change = change_of([10.0] * count, [20.0] * count, paired=True)
    assert change.relative == pytest.approx(1.0)
    assert math.isnan(change.low)
    assert math.isnan(change.high)


@pytest.mark.parametrize("paired", [False, True])
def test_few_sessions_of_equal_servers_are_seldom_taken_for_a_change(paired: bool) -> None:
    """200 seeded pairs of runs of six sessions: 10 differ by chance, with a deviation of 3."""
    dice = np.random.default_rng(8)
    surely = 0
    for seed in range(200):
        before, after = dice.lognormal(0, 0.5, size=6), dice.lognormal(0, 0.5, size=6)
        change = change_of(list(before), list(after), paired=paired, seed=seed)
        surely += not change.low <= 0.0 <= change.high
    assert surely <= 19


@pytest.mark.parametrize(
    ("num_sessions", "student"), [(6, 2.5706), (11, 2.2281), (31, 2.0423), (1001, 1.9623)]
)
def test_the_interval_is_as_much_wider_as_students(num_sessions: int, student: float) -> None:
    """By the quantiles of a printed table."""
    beyond = -NormalDist().inv_cdf(outside_share(num_sessions))
    wanted = student * math.sqrt(num_sessions / (num_sessions - 1))
    assert beyond == pytest.approx(wanted, rel=2e-3)


def test_a_change_from_nothing_is_relative_to_the_floor() -> None:
    """Without a floor, it has no bounds; from nothing to nothing is no change."""
    nothing, some = mean_of([0.0] * 6), mean_of([2.0] * 6)
    quantities = [Quantity(nothing, some, 4.0), Quantity(nothing, some), Quantity(nothing, nothing)]
    found = changes(quantities, 6, 6, paired=True, seed=0, resamples=10)
    assert [change.relative for change in found] == [0.5, math.inf, 0.0]
    assert found[1].low == math.inf
