"""What a journal holds: messages, text that may grow, and holds; and what it knows of events."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from server.text.growing_text import GrowingText

E = TypeVar("E")

ENVELOPE_BYTES = 256
"""What an entry takes beside its text or its payload, about."""
NUMBER_BYTES = 8
"""What the number of one told delta takes."""
CHAR_BYTES = 4
"""What a character takes beyond the Basic Multilingual Plane; most take less."""


@dataclass(frozen=True, slots=True)
class EventRules(Generic[E]):
    """What a journal needs to know of the events that pass through it.

    Attributes:
        name: The id of an event with this number.
        encode: An event's bytes under an id.
        rename: Bytes of an event under another id than the one they hold.
        text: For a text delta ``(item, text)``, where the item tells streams apart; else ``None``.
        with_text: The same delta with another text.
        items: Ids of the conversation's items that an event speaks of.
        announces: Whether a client knows of these items by this event.
        is_end: Whether an event is the last of something that a client waits for.
        is_greeting: Whether an event speaks of the socket that it is told on, and so means nothing
            on the next one.
    """

    name: Callable[[int], str]
    encode: Callable[[E, str], bytes]
    rename: Callable[[bytes, str, str], bytes]
    text: Callable[[E], tuple[Hashable, str] | None]
    with_text: Callable[[E, str], E]
    items: Callable[[E], tuple[str, ...]]
    announces: Callable[[E], bool]
    is_end: Callable[[E], bool]
    is_greeting: Callable[[E], bool]


class Hold:
    """Keeps what is added behind it until it is opened."""

    __slots__ = ("is_open",)

    def __init__(self) -> None:
        """Start closed."""
        self.is_open = False


@dataclass(slots=True)
class Message:
    """Any event but text; encoded when it was added, as what it describes may change.

    Attributes:
        payload: Its bytes.
        name: The id that these hold.
        items: See ``EventRules``.
        announces: See ``EventRules``.
        is_end: See ``EventRules``.
        is_greeting: See ``EventRules``.
        is_first: Whether it was put before all that waited.
        at: When it was told.
    """

    payload: bytes
    name: str
    items: tuple[str, ...]
    announces: bool
    is_end: bool
    is_greeting: bool
    is_first: bool = False
    at: float = 0.0

    num_numbers = 1

    @property
    def num_bytes(self) -> int:
        """What it takes, about."""
        return len(self.payload) + ENVELOPE_BYTES


@dataclass(slots=True)
class Run(Generic[E]):
    """Text of one item, in one delta or several.

    Attributes:
        event: One of its deltas; gives all but the text.
        key: What tells streams apart.
        items: See ``EventRules``.
        text: The text.
        ends: Where each told delta ends in it; empty while it is untold.
        at: When the last of it was told.
    """

    event: E
    key: Hashable
    items: tuple[str, ...]
    text: GrowingText
    ends: array[int] = field(default_factory=lambda: array("L"))
    at: float = 0.0

    is_end = False

    @property
    def num_numbers(self) -> int:
        """How many deltas of it were told."""
        return len(self.ends)

    @property
    def num_bytes(self) -> int:
        """What it takes, about."""
        return ENVELOPE_BYTES + CHAR_BYTES * self.text.num_chars + NUMBER_BYTES * len(self.ends)

    def text_after(self, num_deltas: int) -> str:
        """What comes behind so many of its told deltas."""
        start = self.ends[num_deltas - 1] if num_deltas else 0
        return self.text.read()[start:]

    def drop_first(self, num_deltas: int) -> None:
        """Let go of so many of its told deltas, fewer than all."""
        rest, start = self.text_after(num_deltas), self.ends[num_deltas - 1]
        self.ends = array("L", (end - start for end in self.ends[num_deltas:]))
        self.text = GrowingText(rest)


Entry = Message | Run[E] | Hold
