"""Tells a client that has missed something what its items are now."""

from __future__ import annotations

from collections.abc import Set

from server.conversation.conversation import Conversation
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    ServerEvent,
)
from server.session.floor import Floor


def retell(conversation: Conversation, floor: Floor, items: Set[str] | None) -> list[ServerEvent]:
    """Announce items once more, whole, in the conversation's order.

    An item that is being written is announced as far as it is; its deltas go on from there.

    Args:
        conversation: Whose items.
        floor: Knows those that are being written.
        items: Ids of those to announce, ``None`` for all; others than the conversation's are
            passed over.
    """
    events: list[ServerEvent] = []
    previous: str | None = None
    for entry in conversation.entries:
        if items is None or entry.id in items:
            found = floor.snapshot(entry.id) if entry.is_in_progress else None
            item = entry.item if found is None else found[1]
            events.append(ConversationItemAdded(previous_item_id=previous, item=item))
            if not entry.is_in_progress:
                events.append(ConversationItemDone(previous_item_id=previous, item=item))
        previous = entry.id
    return events
