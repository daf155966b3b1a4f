"""When sessions begin."""

from __future__ import annotations

import random
import statistics
from itertools import pairwise

import pytest

from clients.replay.arrivals import bursts, constant, gamma, poisson, ramp, rising


def gaps(times: list[float]) -> list[float]:
    """Return the times between arrivals."""
    return [later - earlier for earlier, later in pairwise(times)]


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_every_draw_offers_exactly_the_rate_that_was_asked_for(burstiness: float) -> None:
    """So that two seeds can be compared."""
    times = gamma(101, 5.0, burstiness, random.Random(1))
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(20.0)
    assert times == sorted(times)


def test_burstiness_is_the_shape_of_the_gaps() -> None:
    """Their coefficient of variation is ``1 / sqrt(burstiness)``; 1 is Poisson."""
    for shape, expected in ((0.25, 2.0), (1.0, 1.0), (4.0, 0.5)):
        drawn = gaps(gamma(20_001, 1.0, shape, random.Random(2)))
        assert statistics.stdev(drawn) / statistics.mean(drawn) == pytest.approx(expected, rel=0.1)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    """A run can be repeated."""
    assert poisson(50, 2.0, random.Random(3)) == poisson(50, 2.0, random.Random(3))


def test_bursts_come_together() -> None:
    """Five arrivals in groups of two."""
    assert bursts(5, 2, 10.0) == [0.0, 0.0, 10.0, 10.0, 20.0]
    assert bursts(3, 2, 10.0, within_s=1.0) == [0.0, 0.5, 10.0]


def test_constant_arrivals_are_evenly_spaced() -> None:
    """Four a second."""
    assert constant(3, 4.0) == [0.0, 0.25, 0.5]


def test_a_ramp_arrives_more_densely_towards_its_end() -> None:
    """From 1 to 9 a second: the last quarter has about three times the first half's rate."""
    times = ramp(1000.0, 1.0, 9.0, random.Random(4))
    assert len(times) == pytest.approx(5000, rel=0.1)
    first, last = sum(t < 250 for t in times), sum(t >= 750 for t in times)
    assert last / first == pytest.approx(8.0 / 2.0, rel=0.2)


@pytest.mark.parametrize(("by_factor", "middle"), [(False, 5.0), (True, 3.0)])
def test_a_rising_rate_follows_the_share_of_arrivals(by_factor: bool, middle: float) -> None:
    """From 1 to 9 a second: halfway it is their mean, or the factor's root."""
    times = rising(20_001, 1.0, 9.0, random.Random(5), by_factor=by_factor)
    assert times[0] == 0.0
    for at, rate in ((0, 1.0), (9_800, middle), (19_600, 9.0)):
        part = times[at : at + 401]
        assert 400 / (part[-1] - part[0]) == pytest.approx(rate, rel=0.2)
