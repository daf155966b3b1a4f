"""How far a user has heard or read what the character says, as its client reports it.

Positions are code points of clean text. They tell the engine which streams have a lead, and, when
the user speaks over the character, what the character may remember of having said.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.conversation.conversation import Conversation
from server.errors import InvalidValue, shorten
from server.protocol.client_events import CharacterPlayback, ConversationItemTruncate
from server.protocol.items import Item, MessageItem

STATES = ("started", "finished", "interrupted")
MAX_MARKS = 32
"""Items whose position is remembered; only the newest are ever spoken over."""


@dataclass(frozen=True, slots=True)
class _Mark:
    text_end: int
    state: str


class Playback:
    """The positions of one session's items."""

    def __init__(self) -> None:
        self._marks: dict[str, _Mark] = {}

    def note(self, event: CharacterPlayback, item: Item) -> None:
        """Remember a report.

        Args:
            event: What the client says.
            item: As it stands; it may be in the making.

        Raises:
            InvalidValue: It is not something that a character said, there is not so much text, or
                the state is none.
        """
        if event.state not in STATES:
            raise InvalidValue(
                "state", f"state is {shorten(event.state)}; it must be one of {', '.join(STATES)}"
            )
        length = _length(item)
        if not 0 <= event.text_end <= length:
            raise InvalidValue(
                "text_end", f"text_end is {event.text_end}; the text has {length} code points"
            )
        self._marks.pop(event.item_id, None)
        self._marks[event.item_id] = _Mark(event.text_end, event.state)
        while len(self._marks) > MAX_MARKS:
            del self._marks[next(iter(self._marks))]

    def forget(self, item_id: str) -> None:
        """What was reported of an item does not hold any more."""
        self._marks.pop(item_id, None)

    def take_interrupted(self, item_id: str | None) -> ConversationItemTruncate | None:
        """Say how to cut an item that was interrupted while it was still being written."""
        mark = self._marks.get(item_id or "")
        if mark is None or mark.state != "interrupted":
            return None
        return _cut(item_id, self._marks.pop(item_id or ""))

    def heard_of_last(self, conversation: Conversation) -> ConversationItemTruncate | None:
        """Say how to cut what the character said last, where the user has not heard it all."""
        item = conversation.last_message("assistant")
        mark = None if item is None else self._marks.get(item.id or "")
        if item is None or mark is None or mark.text_end >= _length(item):
            return None
        return _cut(item.id, self._marks.pop(item.id or ""))


def _cut(item_id: str | None, mark: _Mark) -> ConversationItemTruncate:
    return ConversationItemTruncate(item_id=item_id or "", text_end=mark.text_end)


def _length(item: Item) -> int:
    if not isinstance(item, MessageItem) or item.role != "assistant":
        raise InvalidValue("item_id", "only an assistant's message is played")
    return len(item.content[0].text or "") if item.content else 0
