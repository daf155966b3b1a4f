"""When sessions begin is read from one word, and follows from the seed."""

from __future__ import annotations

import statistics

import pytest

from clients.replay.arrival_plan import (
    ArrivalPlan,
    arranged,
    offered_rate,
    parse_arrivals,
    sessions_for,
)
from clients.replay.script import ScriptError, Session, Turn


def sessions(count: int, turns: int = 1) -> list[Session]:
    """Sessions two seconds apart."""
    return [
        Session(
            session_id=str(n),
            start_s=2.0 * n,
            turns=[Turn(input_tokens=1, at_s=5.0) for _ in range(turns)],
        )
        for n in range(count)
    ]


def times(form: str, count: int = 400, *, seed: int = 1) -> list[float]:
    """Start times."""
    return [one.start_s for one in arranged(sessions(count), parse_arrivals(form), seed=seed)]


def gaps(values: list[float]) -> list[float]:
    """Between neighbours."""
    return [b - a for a, b in zip(values, values[1:], strict=False)]


def test_a_traces_times_are_scaled_those_of_turns_too() -> None:
    """Half the scale is twice as dense."""
    first, second = arranged(sessions(2), parse_arrivals("trace"), seed=0, time_scale=0.5)
    assert (first.start_s, second.start_s, second.turns[0].at_s) == (0.0, 1.0, 2.5)


def test_constant_is_even() -> None:
    """Four a second."""
    assert times("constant:4", 5) == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("form", "least", "most"),
    [("poisson:5", 0.85, 1.15), ("gamma:5:0.25", 1.6, 2.4), ("gamma:5:4", 0.4, 0.6)],
)
def test_the_spread_of_gaps_is_that_of_the_model(form: str, least: float, most: float) -> None:
    """Coefficient of variation: one over the root of the burstiness; the rate is kept exactly."""
    drawn = times(form)
    assert drawn[-1] == pytest.approx(399 / 5)
    between = gaps(drawn)
    assert least < statistics.pstdev(between) / statistics.mean(between) < most


@pytest.mark.parametrize("form", ["ramp:1-9", "exp-ramp:1-9"])
def test_a_ramp_ends_denser_than_it_began(form: str) -> None:
    """By about the factor of its rates."""
    between = gaps(times(form, 2000))
    begin, end = statistics.mean(between[:200]), statistics.mean(between[-200:])
    assert 5 < begin / end < 12


def test_a_draw_follows_from_its_seed() -> None:
    """The same again, and another one."""
    assert times("poisson:2") == times("poisson:2")
    assert times("poisson:2") != times("poisson:2", seed=2)


def test_users_take_turns_at_the_rate() -> None:
    """Four users at two turns a second: each has one every two seconds."""
    plan = parse_arrivals("users:4:2")
    placed = arranged(sessions(8, turns=3), plan, seed=0)
    asked = sorted(one.start_s + (turn.at_s or 0.0) for one in placed for turn in one.turns)
    assert asked == pytest.approx([0.5 * n for n in range(24)])
    assert placed[4].start_s == pytest.approx(6.0)  # the first user's second session


def test_the_offered_rate_counts_requests() -> None:
    """Turns of all sessions over the time of their arrival; unknown in a closed loop."""
    placed = arranged(sessions(5, turns=2), parse_arrivals("constant:4"), seed=0)
    assert offered_rate(placed, parse_arrivals("constant:4")) == pytest.approx(10.0)
    assert offered_rate(placed, parse_arrivals("closed:2")) is None
    assert offered_rate(placed, parse_arrivals("users:4:2")) == 2.0


@pytest.mark.parametrize(
    "form", ["constant:4", "poisson:4", "gamma:4:0.5", "ramp:1-9", "exp-ramp:1-9", "users:3:4"]
)
def test_so_many_sessions_arrive_for_so_long(form: str) -> None:
    """Twenty seconds, within what is drawn."""
    plan = parse_arrivals(form)
    count = sessions_for(plan, 20.0, turns_per_session=2.0)
    placed = arranged(sessions(count, turns=2), plan, seed=3)
    assert max(one.start_s for one in placed) == pytest.approx(20.0, rel=0.15)


def test_a_rate_can_be_changed_and_a_ramp_keeps_its_shape() -> None:
    """Both ends by the same factor."""
    assert parse_arrivals("ramp:1-3").at_rate(2.0) == ArrivalPlan("ramp", rate=2.0, end_rate=6.0)
    with pytest.raises(ScriptError, match="no rate to change"):
        parse_arrivals("trace").at_rate(2.0)


@pytest.mark.parametrize(
    "form",
    ["", "poisson", "poisson:0", "poisson:-1", "gamma:1", "ramp:1", "closed:0", "closed:1.5",
     "users:3", "trace:2", "nonsense:1", "poisson:nan", "poisson:inf"],
)  # fmt: skip
def test_what_is_no_form_is_refused_with_all_forms(form: str) -> None:
    """The way out is in the message."""
    with pytest.raises(ScriptError, match="poisson:R"):
        parse_arrivals(form)
