"""What the server says: the text-mode events of OpenAI Realtime (GA).

An event is made without an ``event_id``. Ids rise by one *on the wire*, and an outbox may merge
two deltas of one item before they reach it; so whoever writes an event to the socket's buffer asks
the session's ``EventCounter`` for the id at that moment.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from server.protocol.items import Item
from server.protocol.objects import (
    ErrorDetail,
    RateLimit,
    ResponseMetrics,
    ResponseObject,
    SessionObject,
)


class ServerEvent(msgspec.Struct, kw_only=True, tag_field="type"):
    """Root of the server's events.

    Attributes:
        event_id: Set when the event is written, not when it is made.
    """

    event_id: str = ""


class ErrorEvent(ServerEvent, kw_only=True, tag="error"):
    """Something the client did could not be done."""

    error: ErrorDetail


class SessionCreated(ServerEvent, kw_only=True, tag="session.created"):
    """The first event of every connection."""

    session: SessionObject


class SessionUpdated(ServerEvent, kw_only=True, tag="session.updated"):
    """The full configuration after a change."""

    session: SessionObject


class ConversationItemAdded(ServerEvent, kw_only=True, tag="conversation.item.added"):
    """An item entered the conversation; a reply's is still empty."""

    previous_item_id: str | None
    item: Item


class ConversationItemDone(ServerEvent, kw_only=True, tag="conversation.item.done"):
    """An item is whole."""

    previous_item_id: str | None
    item: Item


class ConversationItemDeleted(ServerEvent, kw_only=True, tag="conversation.item.deleted"):
    """An item left the conversation."""

    item_id: str


class ConversationItemRetrieved(ServerEvent, kw_only=True, tag="conversation.item.retrieved"):
    """An item as the server knows it."""

    item: Item


class ConversationItemTruncated(ServerEvent, kw_only=True, tag="conversation.item.truncated"):
    """Only what was heard is left of an item."""

    item_id: str
    content_index: int
    audio_end_ms: int
    text_end: int | UnsetType = UNSET


class InputAudioBufferCleared(ServerEvent, kw_only=True, tag="input_audio_buffer.cleared"):
    """The (always empty) audio buffer is empty."""


class ResponseCreated(ServerEvent, kw_only=True, tag="response.created"):
    """A reply begins."""

    response: ResponseObject


class ResponseDone(ServerEvent, kw_only=True, tag="response.done"):
    """A reply ended, in one way or another; the last event of every reply."""

    response: ResponseObject
    x_metrics: ResponseMetrics | UnsetType = UNSET


class ResponseOutputItemAdded(ServerEvent, kw_only=True, tag="response.output_item.added"):
    """A reply's item begins."""

    response_id: str
    output_index: int
    item: Item


class ResponseOutputItemDone(ServerEvent, kw_only=True, tag="response.output_item.done"):
    """A reply's item is whole."""

    response_id: str
    output_index: int
    item: Item


class TextPart(msgspec.Struct, kw_only=True, tag_field="type", tag="text"):
    """A part of a reply in the making; its type is ``text``, not the item's ``output_text``."""

    text: str


class ResponseContentPartAdded(ServerEvent, kw_only=True, tag="response.content_part.added"):
    """A reply's part begins."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: TextPart


class ResponseContentPartDone(ServerEvent, kw_only=True, tag="response.content_part.done"):
    """A reply's part is whole."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: TextPart


class ResponseOutputTextDelta(ServerEvent, kw_only=True, tag="response.output_text.delta"):
    """More text of a reply."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputTextDone(ServerEvent, kw_only=True, tag="response.output_text.done"):
    """All the text of a reply's part."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    text: str


class ResponseFunctionCallArgumentsDelta(
    ServerEvent, kw_only=True, tag="response.function_call_arguments.delta"
):
    """More of a call's arguments, which are JSON."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str


class ResponseFunctionCallArgumentsDone(
    ServerEvent, kw_only=True, tag="response.function_call_arguments.done"
):
    """All the arguments of a call."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str


class RateLimitsUpdated(ServerEvent, kw_only=True, tag="rate_limits.updated"):
    """What is left when a reply begins; what it may come to is taken off already."""

    rate_limits: list[RateLimit]


STANDARD_EVENTS: tuple[type[ServerEvent], ...] = (
    ErrorEvent,
    SessionCreated,
    SessionUpdated,
    ConversationItemAdded,
    ConversationItemDone,
    ConversationItemDeleted,
    ConversationItemRetrieved,
    ConversationItemTruncated,
    InputAudioBufferCleared,
    ResponseCreated,
    ResponseDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    RateLimitsUpdated,
)
