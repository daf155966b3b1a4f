"""Tells a client that has missed something what its items are now."""

from __future__ import annotations

from server.conversation.conversation import Conversation
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemDone,
    ServerEvent,
)
from server.resume.gap import Gap
from server.session.floor import Floor


def retell(conversation: Conversation, floor: Floor, gap: Gap) -> list[ServerEvent]:
    """Announce the items once more that a gap may have touched, whole, in order.

    An item that is being written is announced as far as it is; its deltas go on from there. One
    that is not there any more is told as deleted.

    Args:
        conversation: Whose items.
        floor: Knows those that are being written.
        gap: What was missed. Items that have never been announced are left to what announces them.
    """
    events: list[ServerEvent] = [
        ConversationItemDeleted(item_id=item_id)
        for item_id in sorted((gap.items or frozenset()) - gap.unsaid)
        if item_id not in conversation and floor.snapshot(item_id) is None
    ]
    previous: str | None = None
    for entry in conversation.entries:
        if gap.touches((entry.id,)):
            found = floor.snapshot(entry.id) if entry.is_in_progress else None
            item = entry.item if found is None else found[1]
            events.append(ConversationItemAdded(previous_item_id=previous, item=item))
            if not entry.is_in_progress:
                events.append(ConversationItemDone(previous_item_id=previous, item=item))
        previous = entry.id
    return events
