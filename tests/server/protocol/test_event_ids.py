"""Ids that rise by one."""

from __future__ import annotations

from server.protocol.close_codes import CloseCode
from server.protocol.event_ids import EventCounter


def test_ids_rise_by_one_from_one() -> None:
    """The number in the id is the event's place on the wire."""
    counter = EventCounter("sess_a")
    assert [counter.next_id() for _ in range(3)] == ["evt_a_1", "evt_a_2", "evt_a_3"]


def test_retryable_codes_are_those_of_the_sdks() -> None:
    """R6: restart, overload and maximum age may be retried; what would fail again may not."""
    retryable = {code for code in CloseCode if code.is_retryable}
    assert {1000, 1001, 1012, 1013, 4408} <= retryable
    assert not {1003, 1007, 1008, 1009, 4400} & retryable
