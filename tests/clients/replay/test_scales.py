"""Axes: where values lie, and the round ones beside them."""

from __future__ import annotations

import pytest

from clients.replay.scales import Scale, round_step, written


def test_a_linear_axis_begins_at_0() -> None:
    """A curve far from 0 is not made to look dramatic."""
    scale = Scale.over(50.0, 100.0, 0.0, 10.0, log=False)
    assert scale.place(50.0) == pytest.approx(5.0)
    assert scale.ticks() == [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]


def test_equal_factors_lie_equally_far_apart_on_a_logarithmic_axis() -> None:
    """And what is not above 0 lies at its begin."""
    scale = Scale.over(1.0, 1000.0, 0.0, 30.0, log=True)
    assert [scale.place(value) for value in (1.0, 10.0, 100.0)] == pytest.approx([0.0, 10.0, 20.0])
    assert scale.place(0.0) == pytest.approx(0.0)
    assert scale.ticks() == pytest.approx([1.0, 10.0, 100.0, 1000.0])


def test_a_short_logarithmic_axis_has_ticks_between_its_decades() -> None:
    """From 3 to 30 there is one power of ten, which is too few to read."""
    assert Scale.over(3.0, 30.0, 0.0, 1.0, log=True).ticks() == pytest.approx([5.0, 10.0, 20.0])


@pytest.mark.parametrize(
    ("least", "most", "ticks"),
    [(220.0, 480.0, [300.0, 400.0]), (271.0, 290.0, [275.0, 280.0, 285.0, 290.0])],
)
def test_a_very_short_logarithmic_axis_has_ticks_all_the_same(
    least: float, most: float, ticks: list[float]
) -> None:
    """Where no 1, 2 or 5 lies between: a curve without a number beside it says nothing."""
    assert Scale.over(least, most, 0.0, 1.0, log=True).ticks() == pytest.approx(ticks)


@pytest.mark.parametrize("log", [False, True])
def test_an_axis_of_one_value_divides_nothing_by_0(log: bool) -> None:
    """Its value lies somewhere on it."""
    for value in (0.0, 5.0):
        scale = Scale.over(value, value, 0.0, 10.0, log=log)
        assert 0.0 <= scale.place(value) <= 10.0


@pytest.mark.parametrize(("span", "step"), [(40.0, 1.0), (41.0, 2.0), (90.0, 5.0), (0.4, 0.01)])
def test_steps_are_round_and_few_enough(span: float, step: float) -> None:
    """At most forty of 1, 2 or 5 times a power of ten."""
    assert round_step(span, 40) == pytest.approx(step)


def test_numbers_are_written_short() -> None:
    """Thousands are set apart, and no zero is written after the point."""
    assert [written(value) for value in (0.25, 3.0, 12_000.0)] == ["0.25", "3", "12,000"]
