"""Connections are counted in, counted out, and turned away when there are too many."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from server.config import LimitsConfig
from server.sockets.accept_limits import AcceptLimits, Ticket


class Recording(asyncio.Transport):
    """A transport that knows whether it was cut off."""

    is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


def make_limits(**limits: Any) -> AcceptLimits:
    """Limits with a few of them changed."""
    return AcceptLimits(LimitsConfig(**limits))


def enter(limits: AcceptLimits, address: str = "192.0.2.1") -> tuple[Ticket, str | None]:
    """One more connection."""
    return limits.enter(Recording(), address)


def test_the_total_is_bounded_and_places_are_given_back() -> None:
    """The third of two is turned away until somebody leaves."""
    limits = make_limits(max_connections=2)
    first, _ = enter(limits)
    enter(limits)
    turned_away, reason = enter(limits)
    assert reason is not None
    assert "2 connections" in reason
    turned_away.leave()
    first.leave()
    assert enter(limits)[1] is None


def test_one_address_is_bounded() -> None:
    """Others still come in."""
    limits = make_limits(max_connections_per_address=1)
    assert enter(limits, "192.0.2.1")[1] is None
    assert enter(limits, "192.0.2.1")[1] is not None
    assert enter(limits, "192.0.2.2")[1] is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_exempt(address: str) -> None:
    """A proxy speaks for everybody from one address."""
    limits = make_limits(max_connections_per_address=1)
    assert [enter(limits, address)[1] for _ in range(5)] == [None] * 5


def test_who_was_turned_away_does_not_count() -> None:
    """Leaving gives nothing back that was not taken."""
    limits = make_limits(max_connections=1)
    first, _ = enter(limits)
    for _ in range(5):
        enter(limits)[0].leave()
    assert enter(limits)[1] is not None
    first.leave()
    assert enter(limits)[1] is None


def test_leaving_twice_gives_one_place_back() -> None:
    """Two callbacks may see the same end."""
    limits = make_limits(max_connections=1)
    ticket, _ = enter(limits)
    ticket.leave()
    ticket.leave()
    enter(limits)
    assert enter(limits)[1] is not None
    assert limits.num_pending == 2


def test_pending_heads_are_counted_until_they_are_in() -> None:
    """A head that has come makes room for the next to wait."""
    limits = make_limits(max_pending_heads=2)
    tickets = [enter(limits)[0] for _ in range(3)]
    assert not limits.has_room_for_heads
    tickets[0].head_is_in()
    tickets[0].head_is_in()
    assert limits.has_room_for_heads
    assert limits.num_pending == 2


def test_everybody_can_be_cut_off() -> None:
    """First those that have not said what they want, then all."""
    limits = make_limits()
    one, two = Recording(), Recording()
    limits.enter(one, "192.0.2.1")[0].head_is_in()
    limits.enter(two, "192.0.2.1")
    limits.abort_pending()
    assert (one.is_aborted, two.is_aborted) == (False, True)
    limits.abort_all()
    assert one.is_aborted


@pytest.mark.parametrize("seed", range(5))
def test_counts_never_drift(seed: int) -> None:
    """After any history of coming and going there is room for exactly as many as at first."""
    rng = random.Random(seed)
    limits = make_limits(max_connections=5, max_connections_per_address=3)
    inside: list[Ticket] = []
    for _ in range(500):
        if inside and rng.random() < 0.5:
            inside.pop(rng.randrange(len(inside))).leave()
        else:
            inside.append(enter(limits, f"192.0.2.{rng.randrange(3)}")[0])
    for ticket in inside:
        ticket.leave()
    assert (len(limits), limits.num_pending) == (0, 0)
    assert [enter(limits, f"198.51.100.{n}")[1] is None for n in range(6)] == [True] * 5 + [False]
