"""The items of one reply in the making: each a chain of events from ``added`` to ``done``.

A message opens with its first face or word, a call at once. Events of the conversation are left
out where a reply does not belong to one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.protocol.items import ContentPart, FunctionCallItem, Item, MessageItem
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ServerEvent,
    TextPart,
)
from server.session.delivery import Delivery, Show
from server.text.growing_text import GrowingText
from server.text.tag_rules import TagRules
from server.text.tags import ExpressionTag, MotionTag, Piece, TagParser, TextPiece, cut_raw_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an item stands.

    Attributes:
        response_id: In which reply.
        output_index: At which place of it.
        conversation: In which conversation; ``None`` for a reply beside it.
        new_item_id: Gives an id that no item of the conversation has.
        character_id: Who speaks, where several are in the room.
        continues: Id of the item that it goes on with, if it does.
    """

    response_id: str
    output_index: int
    conversation: Conversation | None
    new_item_id: Callable[[], str]
    character_id: str | UnsetType = UNSET
    continues: str = ""

    def add(self, item: Item, tags: TagRules) -> list[ServerEvent]:
        """Announce an item, and put it into the conversation.

        Args:
            item: As it begins.
            tags: Those that its raw text may hold.
        """
        added: list[ServerEvent] = [
            ResponseOutputItemAdded(
                response_id=self.response_id, output_index=self.output_index, item=item
            )
        ]
        if self.conversation is not None:
            entry = Entry(item, tags=tags, continues=self.continues)
            previous = self.conversation.insert(entry, None)
            added.append(ConversationItemAdded(previous_item_id=previous, item=item))
        return added

    def finish(self, item: MessageItem | FunctionCallItem, raw: str) -> list[ServerEvent]:
        """Say that an item is whole, and write it down."""
        done: list[ServerEvent] = []
        if self.conversation is not None:
            self.conversation.finish_reply(item, raw)
            previous = self.conversation.previous_id(item.id or "")
            done.append(ConversationItemDone(previous_item_id=previous, item=item))
        done.append(
            ResponseOutputItemDone(
                response_id=self.response_id, output_index=self.output_index, item=item
            )
        )
        return done


class MessageOutput:
    """Words of a reply.

    Attributes:
        item: As it stands but for its text; ``None`` until it opens.
    """

    def __init__(self, place: Place, show: Show, *, raw_start: int) -> None:
        """Begin with nothing.

        Args:
            place: Where the item will stand.
            show: Which tags are taken out of the text, and what is told beside it.
            raw_start: Code points of the engine's text before it.
        """
        self.item: MessageItem | None = None
        self._place = place
        self._show = show
        self._raw_start = raw_start
        self._parser = TagParser(show.tags.shown_expressions, show.tags.shown_motions)
        self._delivery = Delivery(show, place.response_id, place.new_item_id())
        self._raw = GrowingText()
        self._clean = GrowingText()

    @property
    def delivery(self) -> Delivery:
        """How it is performed."""
        return self._delivery

    @property
    def has_text(self) -> bool:
        """Whether there is any clean text so far; cheaper than to ask for it."""
        return self._clean.num_chars > 0

    @property
    def text(self) -> str:
        """Clean text so far."""
        return self._clean.read()

    def raw_length(self, text_end: int) -> int:
        """How many code points of the engine's text the first ones of the clean text take."""
        tags = self._show.tags
        raw = cut_raw_text(
            self._raw.read(), tags.shown_expressions, text_end, motions=tags.shown_motions
        )
        return self._raw_start + len(raw)

    def snapshot(self) -> MessageItem | None:
        """The item as it stands; ``None`` before it opens."""
        return None if self.item is None else self._with_text(self.item.status)

    def feed(self, text: str, t_ms: float) -> list[ServerEvent]:
        """Take more raw text."""
        self._raw.append(text)
        return self._perform(self._parser.feed(text), t_ms)

    def flush(self, t_ms: float, *, at_stop_string: bool = False) -> list[ServerEvent]:
        """Show what was held back; no more text comes.

        Args:
            t_ms: Since the reply was announced.
            at_stop_string: A stop string ended it; half a tag is neither shown nor kept.
        """
        held = self._parser.held
        pieces = self._parser.finish(at_stop_string=at_stop_string)
        if not pieces:
            self._raw = GrowingText(self._raw.read().removesuffix(held))
        return self._perform(pieces, t_ms)

    def open(self) -> list[ServerEvent]:
        """Announce the item; to be called once."""
        self.item = MessageItem(
            id=self._item_id,
            role="assistant",
            status="in_progress",
            content=[],
            character_id=self._place.character_id,
        )
        part = ResponseContentPartAdded(
            response_id=self._place.response_id,
            item_id=self._item_id,
            output_index=self._place.output_index,
            content_index=0,
            part=TextPart(text=""),
        )
        return [*self._place.add(self.item, self._show.tags), part]

    def close(self, t_ms: float, *, completed: bool) -> list[ServerEvent]:
        """Close the item, if it was opened; half a tag is never shown."""
        if self.item is None:
            return []
        raw = self._raw.read()
        if not completed:
            raw = raw.removesuffix(self._parser.held)
        told = self._delivery.finish(t_ms)
        text = self.text
        self.item = self._with_text("completed" if completed else "incomplete")
        place, item_id = self._place, self._item_id
        return [
            *told,
            ResponseOutputTextDone(
                response_id=place.response_id,
                item_id=item_id,
                output_index=place.output_index,
                content_index=0,
                text=text,
            ),
            ResponseContentPartDone(
                response_id=place.response_id,
                item_id=item_id,
                output_index=place.output_index,
                content_index=0,
                part=TextPart(text=text),
            ),
            *place.finish(self.item, raw),
        ]

    @property
    def _item_id(self) -> str:
        return self._delivery.item_id

    def _with_text(self, status: str | None) -> MessageItem:
        part = ContentPart(type="output_text", text=self.text)
        return MessageItem(
            id=self._item_id,
            role="assistant",
            status=status,
            content=[part],
            character_id=self._place.character_id,
        )

    def _perform(self, pieces: list[Piece], t_ms: float) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        for piece in pieces:
            if self.item is None:
                events += self.open()
            match piece:
                case TextPiece(text):
                    self._clean.append(text)
                    delta = ResponseOutputTextDelta(
                        response_id=self._place.response_id,
                        item_id=self._item_id,
                        output_index=self._place.output_index,
                        content_index=0,
                        delta=text,
                    )
                    events.append(delta)
                    events += self._delivery.say(text, t_ms)
                case ExpressionTag():
                    events += self._delivery.express(piece, t_ms)
                case MotionTag():
                    events += self._delivery.move(piece, t_ms)
        return events


class CallOutput:
    """The call of a tool.

    Attributes:
        item: As it stands but for its arguments.
    """

    def __init__(self, place: Place, name: str) -> None:
        """Begin with the tool's name."""
        item_id = place.new_item_id()
        self._place = place
        self._arguments: list[str] = []
        self.item = FunctionCallItem(
            id=item_id,
            status="in_progress",
            name=name,
            arguments="",
            call_id=f"call_{item_id.removeprefix('item_')}",
        )

    def snapshot(self) -> FunctionCallItem:
        """The item as it stands."""
        return self._with_arguments(self.item.status)

    def open(self) -> list[ServerEvent]:
        """Announce the item."""
        return self._place.add(self.item, TagRules())

    def feed(self, text: str) -> list[ServerEvent]:
        """Take more of the arguments."""
        self._arguments.append(text)
        return [
            ResponseFunctionCallArgumentsDelta(
                response_id=self._place.response_id,
                item_id=self.item.id or "",
                output_index=self._place.output_index,
                call_id=self.item.call_id or "",
                delta=text,
            )
        ]

    def close(self, t_ms: float, *, completed: bool) -> list[ServerEvent]:
        """Close the item."""
        self.item = item = self._with_arguments("completed" if completed else "incomplete")
        done = ResponseFunctionCallArgumentsDone(
            response_id=self._place.response_id,
            item_id=item.id or "",
            output_index=self._place.output_index,
            call_id=item.call_id or "",
            name=item.name,
            arguments=item.arguments,
        )
        return [done, *self._place.finish(item, "")]

    def _with_arguments(self, status: str | None) -> FunctionCallItem:
        return FunctionCallItem(
            id=self.item.id,
            status=status,
            name=self.item.name,
            arguments="".join(self._arguments),
            call_id=self.item.call_id,
        )
