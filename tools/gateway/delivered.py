"""What reached a client, and how it differs from what should have."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

_DELTA = "response.output_text.delta"
_MAX_ALIGNED = 20_000
"""Differing texts up to so many bytes are aligned; the time for that grows with the square."""


@dataclass(slots=True)
class Reply:
    """One reply as its listener knows it.

    Attributes:
        text: Of its deltas, in order.
        final: Of its ``output_text.done``; ``None`` before.
        status: Of its ``response.done``; ``None`` before.
        num_ends: How often it ended; more than once is a fault.
        item_ids: Of the items that it has become, once it has ended.
    """

    text: str = ""
    final: str | None = None
    status: str | None = None
    num_ends: int = 0
    item_ids: tuple[str, ...] = ()


@dataclass(slots=True)
class Delivered:
    """All that one session's client has heard, over any number of sockets.

    Attributes:
        replies: By response id, in the order they began.
        last_number: Of the last event's id.
        last_event_id: For coming back.
        num_breaks: Events whose number was not the last one's and one.
        num_events: Events.
        items: Ids of the conversation's items that were acknowledged as done.
        errors: Codes of errors, and how often.
    """

    replies: dict[str, Reply] = field(default_factory=dict)
    last_number: int = 0
    last_event_id: str | None = None
    num_breaks: int = 0
    num_events: int = 0
    items: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)

    def take(self, event: dict[str, Any]) -> None:
        """Take in the next event, as JSON says it."""
        self.num_events += 1
        self.last_event_id = event["event_id"]
        number = int(event["event_id"].rpartition("_")[2])
        self.num_breaks += number != self.last_number + 1
        self.last_number = number
        kind = event["type"]
        if kind == _DELTA:
            self.replies[event["response_id"]].text += event["delta"]
        elif kind == "response.created":
            self.replies[event["response"]["id"]] = Reply()
        elif kind == "response.output_text.done":
            self.replies[event["response_id"]].final = event["text"]
        elif kind == "response.done":
            reply = self.replies[event["response"]["id"]]
            reply.status = event["response"]["status"]
            reply.num_ends += 1
            reply.item_ids = tuple(item["id"] for item in event["response"]["output"])
        elif kind == "conversation.item.done":
            self.items.add(event["item"]["id"])
        elif kind == "error":
            self.errors[event["error"]["code"]] += 1

    def start_anew(self) -> None:
        """Another session begins: its numbers begin at one, and what had not ended never will."""
        self.replies = {name: one for name, one in self.replies.items() if one.num_ends}
        self.last_number = 0
        self.last_event_id = None


@dataclass(frozen=True, slots=True)
class Difference:
    """How a delivered text differs from the one that was due, in bytes of UTF-8.

    Attributes:
        lost: Bytes that were due and did not come.
        extra: Bytes that came and were not due: repeated ones, or others.
    """

    lost: int
    extra: int

    @property
    def is_none(self) -> bool:
        """Whether both are equal to the byte."""
        return not self.lost and not self.extra


def compare(due: str, delivered: str) -> Difference:
    """Count bytes that are missing and bytes that are too many.

    Equal beginnings and ends are set aside first; what lies between is aligned where it is short
    enough, and else counts as lost and as extra in full.
    """
    one, other = due.encode(), delivered.encode()
    if one == other:
        return Difference(0, 0)
    begin = _common(one, other)
    one, other = one[begin:], other[begin:]
    end = _common(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    if max(len(one), len(other)) > _MAX_ALIGNED:
        return Difference(len(one), len(other))
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    same = sum(block.size for block in matcher.get_matching_blocks())
    return Difference(len(one) - same, len(other) - same)


def _common(one: bytes, other: bytes) -> int:
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
