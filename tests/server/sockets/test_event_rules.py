"""The journal learns of the wire's events what it needs."""

from __future__ import annotations

import json

from server.protocol.items import MessageItem
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ResponseFunctionCallArgumentsDelta,
    ResponseOutputTextDelta,
)
from server.sockets.event_rules import make_event_rules

RULES = make_event_rules("sess_a")


def words(text: str, content_index: int = 0) -> ResponseOutputTextDelta:
    """A text delta."""
    return ResponseOutputTextDelta(
        response_id="resp",
        item_id="item",
        output_index=0,
        content_index=content_index,
        delta=text,
    )


def test_text_is_told_apart_by_item_and_part() -> None:
    """Arguments of a call too; nothing else is text."""
    call = ResponseFunctionCallArgumentsDelta(
        response_id="resp", item_id="item", output_index=0, call_id="call", delta="{"
    )
    keys = [RULES.text(event) for event in (words("a"), words("a", 1), call)]
    assert len({key for key, _ in filter(None, keys)}) == 3
    assert RULES.text(ConversationItemDeleted(item_id="item")) is None


def test_an_event_can_be_given_another_id() -> None:
    """Only its own id changes, whatever the text holds."""
    event = words('"event_id":"evt_a_1"')
    payload = RULES.encode(event, RULES.name(1))
    renamed = json.loads(RULES.rename(payload, RULES.name(1), RULES.name(20)))
    assert renamed["event_id"] == "evt_a_20"
    assert renamed["delta"] == event.delta


def test_an_unnamed_event_can_be_named() -> None:
    """It was encoded before its number was known."""
    payload = RULES.encode(words("a"), "")
    assert json.loads(RULES.rename(payload, "", RULES.name(3)))["event_id"] == "evt_a_3"


def test_an_event_tells_its_item() -> None:
    """By id, where it speaks of one."""
    assert RULES.items(words("a")) == ("item",)
    assert RULES.items(ConversationItemDeleted(item_id="gone")) == ("gone",)
    item = MessageItem(id="new", role="user", content=[])
    added = ConversationItemAdded(previous_item_id=None, item=item)
    assert RULES.items(added) == ("new",)
    assert RULES.announces(added)


def test_a_delta_can_hold_other_text() -> None:
    """Several become one; the first is left as it was."""
    first = words("a")
    assert RULES.with_text(first, "abc") == words("abc")
    assert first == words("a")


def test_an_id_is_read_again() -> None:
    """Of this session's events only."""
    assert RULES.number(RULES.name(7)) == 7
    assert RULES.number(make_event_rules("sess_b").name(7)) is None
