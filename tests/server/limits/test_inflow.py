"""A socket may send so fast; who does not let up floods."""

from __future__ import annotations

import pytest

from server.limits.inflow import Inflow


def make_inflow(**changed: float) -> Inflow:
    """Ten messages and a hundred bytes per second, no more at once, and five seconds' patience."""
    settings = {
        "messages_per_s": 10.0,
        "message_burst": 10,
        "bytes_per_s": 100.0,
        "byte_burst": 100,
        "flood_timeout_s": 5.0,
        "now": 0.0,
        **changed,
    }
    return Inflow(**settings)  # type: ignore[arg-type]


def test_messages_are_counted() -> None:
    """The eleventh waits."""
    inflow = make_inflow()
    assert [inflow.take(1, 0) for _ in range(11)] == pytest.approx([0.0] * 10 + [0.1])


def test_bytes_are_counted() -> None:
    """Few messages may be long ones."""
    inflow = make_inflow()
    assert inflow.take(100, 0) == 0
    assert inflow.take(50, 0) == pytest.approx(0.5)


def test_who_is_waited_for_without_a_break_floods() -> None:
    """After the patience, not before."""
    inflow, now = make_inflow(), 0.0
    for _ in range(10):
        inflow.take(1, now)
    while now < 5.0:
        assert not inflow.is_flood(now)
        now += inflow.take(1, now)
    now += inflow.take(1, now)
    assert inflow.is_flood(now)


def test_one_pause_is_enough() -> None:
    """A client that lets up once has its whole patience again."""
    inflow = make_inflow()
    for _ in range(12):
        inflow.take(1, 0)
    assert inflow.take(1, 4.9) == 0
    for _ in range(12):
        inflow.take(1, 4.9)
    assert not inflow.is_flood(6.0)


def test_one_huge_message_is_no_flood() -> None:
    """It is waited for, however long that takes, and then it is over."""
    inflow = make_inflow()
    wait = inflow.take(10_000, 0)
    assert wait > 90
    assert inflow.take(1, wait) == pytest.approx(0.01)
    assert inflow.take(1, wait + 10) == 0
