"""Replies that wait for the one before them."""

from __future__ import annotations

import pytest

from server.errors import LimitExceeded
from server.protocol.objects import ResponseParams
from server.session.waiting_line import MAX_WAITING, WaitingLine, Wanted


def wanted(name: str) -> Wanted:
    """Somebody who waits."""
    return Wanted(params=ResponseParams(), event_id=name)


def test_who_came_first_is_next() -> None:
    """Positions are counted from 1."""
    line = WaitingLine()
    assert [line.join(wanted("a")), line.join(wanted("b"))] == [1, 2]
    assert [one.event_id for one in (line.next(), line.next()) if one] == ["a", "b"]
    assert line.next() is None


def test_a_full_line_is_refused() -> None:
    """With the bound, and changing nothing."""
    line = WaitingLine()
    for index in range(MAX_WAITING):
        line.join(wanted(str(index)))
    with pytest.raises(LimitExceeded, match=str(MAX_WAITING)):
        line.join(wanted("late"))
    assert len(line) == MAX_WAITING


def test_everybody_can_be_sent_home() -> None:
    """In order."""
    line = WaitingLine()
    line.join(wanted("a"))
    line.join(wanted("b"))
    assert [one.event_id for one in line.clear()] == ["a", "b"]
    assert len(line) == 0
