"""What a journal needs to know of the events of the wire."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import msgspec

from server.protocol.character_events import CharacterSessionResumed
from server.protocol.codec import encode_server_event
from server.protocol.event_ids import EventIds
from server.protocol.server_events import (
    ConversationItemAdded,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseOutputTextDelta,
    ServerEvent,
    SessionCreated,
)
from server.resume.entries import EventRules


@dataclass(frozen=True, slots=True)
class WireRules(EventRules[ServerEvent]):
    """Rules that can also read an id.

    Attributes:
        ids: Of the session's events.
    """

    ids: EventIds

    def number(self, event_id: str) -> int | None:
        """The number of an event; ``None`` for no event of this session."""
        return self.ids.number(event_id)


def make_event_rules(session_id: str) -> WireRules:
    """Rules for one session's events."""
    ids = EventIds(session_id)
    return WireRules(
        name=ids.name,
        encode=encode_server_event,
        rename=_rename,
        text=_text,
        with_text=_with_text,
        items=_items,
        announces=lambda event: isinstance(event, ConversationItemAdded),
        is_end=lambda event: isinstance(event, ResponseDone),
        is_greeting=lambda event: isinstance(event, SessionCreated | CharacterSessionResumed),
        ids=ids,
    )


def _rename(payload: bytes, before: str, after: str) -> bytes:
    """The id stands right behind the type, before anything that a client or a model wrote."""
    return payload.replace(_field(before), _field(after), 1)


def _field(event_id: str) -> bytes:
    return b'"event_id":"%b"' % event_id.encode()


def _text(event: ServerEvent) -> tuple[Hashable, str] | None:
    if isinstance(event, ResponseOutputTextDelta):
        return (event.item_id, event.content_index), event.delta
    if isinstance(event, ResponseFunctionCallArgumentsDelta):
        return (event.item_id, "arguments"), event.delta
    return None


def _with_text(event: ServerEvent, text: str) -> ServerEvent:
    return msgspec.structs.replace(event, delta=text)


def _items(event: ServerEvent) -> tuple[str, ...]:
    item_id = getattr(event, "item_id", None)
    if isinstance(item_id, str):
        return (item_id,)
    item = getattr(event, "item", None)
    item_id = getattr(item, "id", None)
    return (item_id,) if isinstance(item_id, str) else ()
