"""Ids that rise by one."""

from __future__ import annotations

import pytest

from server.protocol.close_codes import CloseCode
from server.protocol.event_ids import EventIds

STRANGE = ["", "evt_a_", "evt_b_7", "7", "evt_a_-1", "evt_a_1.5", "evt_a_²", "evt_a_" + "9" * 40]


def test_an_id_holds_its_number() -> None:
    """The number in the id is the event's place on the wire, and can be read back."""
    ids = EventIds("sess_a")
    assert ids.name(7) == "evt_a_7"
    assert ids.number("evt_a_7") == 7


@pytest.mark.parametrize("event_id", STRANGE)
def test_what_is_no_id_of_the_session_has_no_number(event_id: str) -> None:
    """Another session's, or none at all."""
    assert EventIds("sess_a").number(event_id) is None


def test_retryable_codes_are_those_of_the_sdks() -> None:
    """R6: restart, overload and maximum age may be retried; what would fail again may not."""
    retryable = {code for code in CloseCode if code.is_retryable}
    assert {1000, 1001, 1012, 1013, 4408} <= retryable
    assert not {1003, 1007, 1008, 1009, 4400, 4401, 4409} & retryable
