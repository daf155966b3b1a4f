"""What a client reads: the server's events, unknown ones included, and a reply made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clients.python.errors import ReplyFailed
from server.errors import InvalidEvent
from server.protocol.character_events import CharacterExpression
from server.protocol.codec import decode_server_event
from server.protocol.items import FunctionCallItem
from server.protocol.objects import ResponseMetrics, Usage
from server.protocol.server_events import (
    ResponseCreated,
    ResponseDone,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ServerEvent,
)


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a type that this version does not know; ``data`` is all of it."""

    type: str
    data: Mapping[str, Any]


Event = ServerEvent | UnknownEvent


@dataclass(slots=True)
class Reply:
    """A whole reply.

    Attributes:
        text: All of it.
        status: ``completed``, ``cancelled`` or ``incomplete``.
        expressions: Faces that the character made, in order.
        calls: Tools that it called, in order; answer each with a ``function_call_output``.
        usage: Token counts.
        metrics: Where the time went, if the server says so.
    """

    text: str = ""
    status: str = "in_progress"
    expressions: list[str] = field(default_factory=list)
    calls: list[FunctionCallItem] = field(default_factory=list)
    usage: Usage | None = None
    metrics: ResponseMetrics | None = None

    def take(self, event: Event) -> None:
        """Add what an event says of the reply; events of other replies are not to come here.

        Raises:
            ReplyFailed: The reply ended with an error.
        """
        match event:
            case ResponseOutputTextDelta():
                self.text += event.delta
            case CharacterExpression():
                self.expressions.append(event.name)
            case ResponseOutputItemDone(item=FunctionCallItem() as call):
                self.calls.append(call)
            case ResponseDone():
                self.status = event.response.status
                self.usage = event.response.usage
                metrics = event.x_metrics
                self.metrics = metrics if isinstance(metrics, ResponseMetrics) else None
                raise_if_failed(event)


def response_id(event: Event) -> str | None:
    """Which reply an event tells of; ``None`` for events that belong to no reply."""
    match event:
        case ResponseCreated() | ResponseDone():
            return event.response.id
        case UnknownEvent():
            response = event.data.get("response")
            inner = response.get("id") if isinstance(response, Mapping) else None
            told = event.data.get("response_id", inner)
            return told if isinstance(told, str) else None
        case _:
            told = getattr(event, "response_id", None)
            return told if isinstance(told, str) else None


def raise_if_failed(event: ResponseDone) -> None:
    """Turn a failed reply into an error.

    Raises:
        ReplyFailed: The reply ended with an error.
    """
    if event.response.status != "failed":
        return
    details = event.response.status_details
    error = details.error if details else None
    if error is None:
        raise ReplyFailed("unknown", "the reply failed")
    wait_ms = error.retry_after_ms
    raise ReplyFailed(error.code, error.message, None if wait_ms is None else wait_ms / 1000)


def decode_event(frame: str | bytes) -> Event:
    """Read one frame; what this version does not know comes as ``UnknownEvent``."""
    data = msgspec.json.decode(frame)
    if not isinstance(data, dict):
        return UnknownEvent("", {})
    kind = str(data.get("type", ""))
    try:
        event = decode_server_event(frame)
    except (InvalidEvent, msgspec.ValidationError):
        event = None  # a known type in a shape that this version does not know
    return UnknownEvent(kind, data) if event is None else event
