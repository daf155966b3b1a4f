"""A reply told once more, to a client that asks for a turn that is answered already.

The chain is that of ``server.session.response``, with the items that are in the conversation; each
is told as it now is, so of one that was truncated only what was heard. The engine is not asked and
nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from msgspec import UNSET

from server.characters.character import Character
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.protocol.items import FunctionCallItem, Item, MessageItem
from server.protocol.objects import ResponseObject, ResponseStatus
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ServerEvent,
)
from server.session.delivery import Show
from server.session.output_items import CallOutput, MessageOutput, Place
from server.session.response import Response
from server.session.room import tell_turn
from server.text.tag_rules import TagRules
from server.tools.reply_form import ReplyForm

MAX_PERFORMED = 4_000
"""Characters; of a longer reply only the words are told, as all of it is told at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownPlace(Place):
    """Where an item stands that is in the conversation already.

    Attributes:
        previous_id: Of the item before it.
    """

    previous_id: str | None

    def add(self, item: Item, tags: TagRules) -> list[ServerEvent]:
        """Announce an item; it is there."""
        return [
            ResponseOutputItemAdded(
                response_id=self.response_id, output_index=self.output_index, item=item
            ),
            ConversationItemAdded(previous_item_id=self.previous_id, item=item),
        ]

    def finish(self, item: MessageItem | FunctionCallItem, raw: str) -> list[ServerEvent]:
        """Say that an item is whole; it was written down when it was."""
        return [
            ConversationItemDone(previous_item_id=self.previous_id, item=item),
            ResponseOutputItemDone(
                response_id=self.response_id, output_index=self.output_index, item=item
            ),
        ]


class RepeatedReply(Response):
    """Items of a conversation as a reply of their own, whose id is new."""

    def __init__(
        self,
        response_id: str,
        entries: list[Entry],
        *,
        conversation: Conversation,
        show: Show,
        turn_id: str,
        speaker: Character | None,
        max_output_tokens: int | None,
        metadata: Mapping[str, str] | None,
        now: float,
    ) -> None:
        """Hold what is told.

        Args:
            response_id: Of this telling.
            entries: The items, of a reply that completed.
            conversation: Where they are; not changed.
            show: What is told beside the words.
            turn_id: The client's name of the turn.
            speaker: Who of a room said it, where that is known.
            max_output_tokens: For show; ``None`` is ``inf``.
            metadata: What the client gave with this asking.
            now: Seconds.
        """
        is_long = sum(len(entry.words) for entry in entries) > MAX_PERFORMED
        super().__init__(
            response_id,
            conversation=None,
            show=replace(show, events=frozenset()) if is_long else show,
            form=ReplyForm(),
            new_item_id=lambda: "",
            max_output_tokens=max_output_tokens,
            metadata=metadata,
            now=now,
            turn_id=turn_id,
        )
        self._entries = entries
        self._known = conversation
        self._speaker = speaker

    def tell(self, now: float) -> list[ServerEvent]:
        """Tell all of it."""
        events = [*self.start(), *tell_turn(self._speaker, self.id)]
        for entry in self._entries:
            events += self._tell_item(entry, self._clock.since_ms(now))
        return events + self.end("completed", now)

    def _tell_item(self, entry: Entry, t_ms: float) -> Iterable[ServerEvent]:
        place = self._place_of(entry)
        if isinstance(entry.item, MessageItem):
            message = MessageOutput(place, replace(self._show, tags=entry.tags), raw_start=0)
            self._open = message
            yield from self._with_open(message.open())
            yield from message.feed("".join(entry.raw_texts), t_ms)
            yield from message.flush(t_ms)
        elif isinstance(entry.item, FunctionCallItem):
            call = CallOutput(place, entry.item.name)
            self._open = call
            yield from self._with_open(call.open())
            if entry.item.arguments:
                yield from call.feed(entry.item.arguments)
        yield from self._close(t_ms, completed=entry.item.status == "completed")

    def _place_of(self, entry: Entry) -> _KnownPlace:
        item = entry.item
        return _KnownPlace(
            response_id=self.id,
            output_index=len(self._outputs),
            conversation=None,
            new_item_id=lambda: entry.id,
            character_id=item.character_id if isinstance(item, MessageItem) else UNSET,
            previous_id=self._known.previous_id(entry.id),
        )

    def _describe(self, status: ResponseStatus) -> ResponseObject:
        described = super()._describe(status)
        described.conversation_id = self._known.id
        described.replayed = True
        return described
