"""Ids that rise by one."""

from __future__ import annotations

from server.protocol.close_codes import CloseCode
from server.protocol.event_ids import EventCounter


def test_ids_rise_by_one_from_one() -> None:
    """The number in the id is the event's place on the wire."""
    counter = EventCounter("sess_a")
    assert [counter.next_id() for _ in range(3)] == ["evt_a_1", "evt_a_2", "evt_a_3"]
    assert counter.last == 3


def test_an_id_reads_back_as_its_number() -> None:
    """A resume cursor is checked against what was really sent."""
    counter = EventCounter("sess_a", last=41)
    assert counter.number(counter.next_id()) == 42
    assert counter.number("evt_a_1") == 1


def test_what_was_never_sent_is_no_cursor() -> None:
    """Other sessions' ids, the future, zero, signs, padding and other digits are refused."""
    counter = EventCounter("sess_a", last=5)
    for cursor in (
        "evt_b_1",
        "evt_a_6",
        "evt_a_0",
        "evt_a_-1",
        "evt_a_01",
        "evt_a_²",
        "evt_a_",
        "",
    ):
        assert counter.number(cursor) is None, cursor
    assert counter.number("evt_a_" + "9" * 5000) is None


def test_retryable_codes_are_those_of_the_sdks() -> None:
    """R6: restart, overload and maximum age may be retried; policy and 44xx may not, but 4408."""
    retryable = {code for code in CloseCode if code.is_retryable}
    assert {1000, 1001, 1012, 1013, 4408} <= retryable
    assert not {1008, 4400, 4401, 4403, 4409, 4413, 4429} & retryable
