"""Turns between tenants."""

from __future__ import annotations

from engine.scheduler.fair_share import FairShare


def test_a_tenant_alone_takes_its_turns_one_after_the_other() -> None:
    """Its own requests stand behind each other, at the engine's pace."""
    shares = FairShare()
    assert [shares.tag("a", 2.0, now=10.0) for _ in range(3)] == [10.0, 12.0, 14.0]


def test_a_newcomer_goes_before_the_backlog_of_another() -> None:
    """Fifty requests of one tenant do not stand before the first of the next."""
    shares = FairShare()
    backlog = [shares.tag("greedy", 1.0, now=0.0) for _ in range(50)]
    assert shares.tag("modest", 1.0, now=0.0) == 0.0
    assert backlog[-1] == 49.0


def test_two_busy_tenants_share_evenly() -> None:
    """With two in debt each turn costs twice as much of the clock."""
    shares = FairShare()
    tags = {name: [shares.tag(name, 1.0, now=0.0) for _ in range(20)] for name in "ab"}
    merged = sorted((tag, name) for name, own in tags.items() for tag in own)
    served = [name for _, name in merged[:10]]
    assert 3 <= served.count("b") <= 7


def test_a_debt_is_gone_when_its_time_is_past() -> None:
    """Whoever comes back later owes nothing."""
    shares = FairShare()
    for _ in range(5):
        shares.tag("a", 1.0, now=0.0)
    assert shares.tag("a", 1.0, now=100.0) == 100.0
