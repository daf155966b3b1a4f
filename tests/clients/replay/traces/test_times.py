"""A trace begins with the earliest of its sessions."""

from __future__ import annotations

from clients.replay.script import Session
from clients.replay.traces.times import from_first


def test_times_count_from_the_earliest_whatever_the_order() -> None:
    """The order stays as it is."""
    sessions = [Session(session_id=str(at), start_s=at) for at in (12.0, 10.0, 15.0)]
    assert [session.start_s for session in from_first(sessions)] == [2.0, 0.0, 5.0]


def test_nothing_has_no_beginning() -> None:
    """A table with a heading only."""
    assert from_first([]) == []
