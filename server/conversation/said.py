"""What rooms that decide about a conversation ask of its items."""

from __future__ import annotations

from collections.abc import Sequence

from engine.chat_template import ChatMessage
from server.conversation.entries import Entry, render_messages
from server.protocol.items import MessageItem


def spoken(entries: Sequence[Entry]) -> list[ChatMessage]:
    """What user and assistant have said, in clean words, without notes."""
    return [
        ChatMessage(entry.item.role, entry.words)
        for entry in entries
        if isinstance(entry.item, MessageItem) and entry.item.role != "system" and entry.words
    ]


def questions(entries: Sequence[Entry], last: int | None = None) -> list[str]:
    """Ids of what the user has said, in order.

    Args:
        entries: A conversation's.
        last: How many of the newest; ``None`` for all. A model that reads so many turns
            (``Memory.num_turns``) reads these, and the notes behind them.
    """
    asked = [
        entry.id
        for entry in entries
        if isinstance(entry.item, MessageItem) and entry.item.role == "user" and entry.words
    ]
    return asked if last is None else asked[max(len(asked) - last, 0) :]


def length_behind(entries: Sequence[Entry], item_id: str) -> int | None:
    """Characters that are read behind an item and its note; ``None`` if it is not there."""
    for index, entry in enumerate(entries):
        if entry.id == item_id:
            return sum(len(message.content) for message in render_messages(entries[index + 1 :]))
    return None
