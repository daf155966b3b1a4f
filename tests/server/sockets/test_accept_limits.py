"""Connections are counted in, counted out, and turned away when there are too many."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from server.config.limits import MAX_TURNED_AWAY, LimitsConfig
from server.sockets.accept_limits import AcceptLimits, Ticket, TurnedAway


class Recording(asyncio.Transport):
    """A transport that knows whether it was cut off."""

    is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


def make_limits(**limits: Any) -> AcceptLimits:
    """Limits with a few of them changed."""
    return AcceptLimits(LimitsConfig(**limits))


def enter(
    limits: AcceptLimits, address: str = "192.0.2.1", now: float = 0.0
) -> tuple[Ticket, TurnedAway | None]:
    """One more connection."""
    return limits.enter(Recording(), address, now)


def test_the_total_is_bounded_and_places_are_given_back() -> None:
    """The third of two is turned away until somebody leaves."""
    limits = make_limits(max_connections=2)
    first, _ = enter(limits)
    enter(limits)
    turned_away, reason = enter(limits)
    assert reason is not None
    assert "2 connections" in reason.message
    assert not reason.is_own_doing
    turned_away.leave()
    first.leave()
    assert enter(limits)[1] is None


def test_one_address_is_bounded() -> None:
    """Others still come in."""
    limits = make_limits(max_connections_per_address=1)
    assert enter(limits, "192.0.2.1")[1] is None
    assert enter(limits, "192.0.2.1")[1] is not None
    assert enter(limits, "192.0.2.2")[1] is None


def test_one_address_may_come_so_often() -> None:
    """A burst, and then its rate; others do not notice, and leaving does not give a turn back."""
    limits = make_limits(accepts_per_s_per_address=2, accept_burst_per_address=3)
    for _ in range(3):
        enter(limits)[0].leave()
    _, reason = enter(limits)
    assert reason is not None
    assert (reason.reason, reason.is_own_doing) == ("accept_rate_per_address", True)
    assert reason.retry_after_s == pytest.approx(0.5)
    assert enter(limits, "192.0.2.2")[1] is None
    assert enter(limits, now=0.6)[1] is None


def test_all_together_may_come_so_often() -> None:
    """Whoever is too many for the server is told so, and not that it was their fault."""
    limits = make_limits(accepts_per_s=1, accept_burst=2)
    answers = [enter(limits, f"192.0.2.{n}")[1] for n in range(3)]
    assert answers[:2] == [None, None]
    assert answers[2] is not None
    assert (answers[2].reason, answers[2].is_own_doing) == ("accept_rate", False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3"])
def test_a_storm_of_reconnects_through_a_proxy_passes_as_it_is_configured(address: str) -> None:
    """2,000 in two seconds, from loopback or a proxy that was named."""
    limits = make_limits(proxies=("10.0.0.0/8",))
    assert all(enter(limits, address, n / 1000)[1] is None for n in range(2000))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
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
    tickets = [enter(limits)[0] for _ in range(2)]
    assert not limits.has_room_for_heads
    late, refusal = enter(limits)
    assert refusal is not None
    assert (refusal.reason, refusal.is_told_unasked) == ("too_many_pending_heads", True)
    late.leave()
    tickets[0].head_is_in()
    tickets[0].head_is_in()
    assert limits.has_room_for_heads
    assert limits.num_pending == 1


def test_who_is_turned_away_takes_no_place_of_those_who_are_waited_for() -> None:
    """So many are told why, and the next when one of them has left."""
    limits = make_limits(max_pending_heads=1)
    tickets = [enter(limits)[0] for _ in range(MAX_TURNED_AWAY + 1)]
    assert [ticket.turn_away() for ticket in tickets] == [True] * MAX_TURNED_AWAY + [False]
    assert limits.has_room_for_heads
    tickets[0].leave()
    tickets[-1].leave()
    assert (limits.num_pending, limits.num_turned_away) == (0, MAX_TURNED_AWAY - 1)
    assert enter(limits)[0].turn_away()
    limits.abort_pending()
    assert isinstance(tickets[1].transport, Recording)
    assert tickets[1].transport.is_aborted


def test_everybody_can_be_cut_off() -> None:
    """First those that have not said what they want, then all."""
    limits = make_limits()
    one, two = Recording(), Recording()
    limits.enter(one, "192.0.2.1", 0.0)[0].head_is_in()
    limits.enter(two, "192.0.2.1", 0.0)
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
            continue
        ticket, refusal = enter(limits, f"192.0.2.{rng.randrange(3)}")
        inside.append(ticket)
        if refusal is not None:
            ticket.turn_away()
    for ticket in inside:
        ticket.leave()
    assert (len(limits), limits.num_pending, limits.num_turned_away) == (0, 0, 0)
    assert [enter(limits, f"198.51.100.{n}")[1] is None for n in range(6)] == [True] * 5 + [False]
