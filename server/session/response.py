"""One reply: the chain of events from ``response.created`` to ``response.done``.

::

    response.created
      │  with the first face or word:
      ├─► output_item.added, conversation.item.added, content_part.added
      ├─► (character.expression) output_text.delta …
      ▼
    output_text.done, content_part.done, conversation.item.done, output_item.done, response.done

However a reply ends, what was opened is closed by the same chain; a reply that ends before its
first piece, unless it completed, has no item at all. Events of the conversation are left out where
a reply does not belong to one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.conversation.conversation import Conversation, Entry
from server.errors import ProtocolError
from server.protocol.items import ContentPart, MessageItem
from server.protocol.objects import (
    InputTokenDetails,
    OutputTokenDetails,
    ResponseMetrics,
    ResponseObject,
    ResponseStatus,
    StatusDetails,
    Usage,
)
from server.protocol.server_events import (
    CharacterExpression,
    ConversationItemAdded,
    ConversationItemDone,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ServerEvent,
    TextPart,
)
from server.session.failures import describe, engine_aborted, from_delta
from server.text.tags import Piece, TagParser, TextPiece, cut_raw_text


class Response:
    """A reply in the making. Every method that returns events returns them in wire order."""

    def __init__(
        self,
        response_id: str,
        *,
        conversation: Conversation | None,
        expressions: tuple[str, ...],
        new_item_id: Callable[[], str],
        max_output_tokens: int | None,
        metadata: Mapping[str, str] | None,
        now: float,
    ) -> None:
        """Hold what the reply is made of.

        Args:
            response_id: Also the engine's request id.
            conversation: Where the item goes; ``None`` for a reply beside it.
            expressions: Tags to take out of the text.
            new_item_id: Gives an id that no item of the conversation has.
            max_output_tokens: For show; ``None`` is ``inf``.
            metadata: The client's, given back as it is.
            now: Seconds, on the clock of all further ``now``.
        """
        self.id = response_id
        self.is_done = False
        self.item: MessageItem | None = None
        self._conversation = conversation
        self._expressions = expressions
        self._parser = TagParser(expressions)
        self._new_item_id = new_item_id
        self._max_output_tokens: int | str = (
            "inf" if max_output_tokens is None else max_output_tokens
        )
        self._metadata = dict(metadata) if metadata is not None else None
        self._created_at = now
        self._first_delta_at: float | None = None
        self._last_delta_at = now
        self._last_delta: RequestDelta | None = None
        self._raw: list[str] = []
        self._clean: list[str] = []

    @property
    def text(self) -> str:
        """Clean text so far."""
        return "".join(self._clean)

    def start(self) -> list[ServerEvent]:
        """Announce the reply."""
        return [ResponseCreated(response=self._describe("in_progress"))]

    def receive(
        self, delta: RequestDelta, now: float, *, shows_expressions: bool
    ) -> list[ServerEvent]:
        """Take what one step brought, and end the reply if it was the last."""
        self._last_delta = delta
        self._last_delta_at = now
        if self._first_delta_at is None and delta.num_output_tokens:
            self._first_delta_at = now
        events: list[ServerEvent] = []
        if delta.text:
            self._raw.append(delta.text)
            events += self._show(self._parser.feed(delta.text), now, shows_expressions)
        match delta.finish_reason:
            case None:
                pass
            case FinishReason.STOP:
                events += self._show(self._parser.finish(), now, shows_expressions)
                events += self.end("completed", now)
            case FinishReason.LENGTH:
                events += self.end("incomplete", now, reason="max_output_tokens")
            case FinishReason.ABORT:
                events += self.end("failed", now, error=engine_aborted())
            case FinishReason.ERROR:
                events += self.end("failed", now, error=from_delta(delta))
        return events

    def end(
        self,
        status: ResponseStatus,
        now: float,
        *,
        reason: str | None = None,
        error: ProtocolError | None = None,
    ) -> list[ServerEvent]:
        """Close what is open and say how the reply ended; to be called once.

        Text held back is shown before only by a reply that completes: half a tag is never shown.
        """
        assert not self.is_done
        self.is_done = True
        raw = "".join(self._raw)
        if status != "completed":
            raw = raw.removesuffix(self._parser.held)
        events: list[ServerEvent] = []
        if self.item is None and status == "completed":
            events += self._open_item()
        if self.item is not None:
            events += self._close_item(self.item, raw, completed=status == "completed")
        details = None
        if status in ("cancelled", "failed", "incomplete"):
            failure = None if error is None else describe(error)
            details = StatusDetails(type=status, reason=reason, error=failure)
        done = self._describe(status)
        done.status_details = details
        done.usage = self._count_usage()
        events.append(ResponseDone(response=done, x_metrics=self._measure(now)))
        return events

    def raw_length(self, text_end: int) -> int:
        """How many code points of the engine's text the first ones of the clean text take."""
        return len(cut_raw_text("".join(self._raw), self._expressions, text_end))

    def snapshot(self) -> MessageItem | None:
        """The item as it stands, for a client that asks in the middle; ``None`` before it opens."""
        if self.item is None:
            return None
        return self._make_item(self.item.id, self.item.status)

    def _show(self, pieces: list[Piece], now: float, shows_expressions: bool) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        for piece in pieces:
            if self.item is None:
                events += self._open_item()
            item_id = self._item_id
            if isinstance(piece, TextPiece):
                self._clean.append(piece.text)
                events.append(
                    ResponseOutputTextDelta(
                        response_id=self.id,
                        item_id=item_id,
                        output_index=0,
                        content_index=0,
                        delta=piece.text,
                    )
                )
            elif shows_expressions:
                events.append(
                    CharacterExpression(
                        response_id=self.id,
                        item_id=item_id,
                        name=piece.name,
                        weight=1.0,
                        text_offset=piece.offset,
                        segment_index=0,
                        t_ms=_to_ms(now - self._created_at),
                    )
                )
        return events

    @property
    def _item_id(self) -> str:
        assert self.item is not None
        assert self.item.id is not None
        return self.item.id

    def _open_item(self) -> list[ServerEvent]:
        self.item = MessageItem(
            id=self._new_item_id(), role="assistant", status="in_progress", content=[]
        )
        events: list[ServerEvent] = [
            ResponseOutputItemAdded(response_id=self.id, output_index=0, item=self.item)
        ]
        if self._conversation is not None:
            previous = self._conversation.insert(Entry(self.item), None)
            events.append(ConversationItemAdded(previous_item_id=previous, item=self.item))
        events.append(
            ResponseContentPartAdded(
                response_id=self.id,
                item_id=self._item_id,
                output_index=0,
                content_index=0,
                part=TextPart(text=""),
            )
        )
        return events

    def _close_item(self, item: MessageItem, raw: str, *, completed: bool) -> list[ServerEvent]:
        text = self.text
        item_id = self._item_id
        self.item = item = self._make_item(item.id, "completed" if completed else "incomplete")
        events: list[ServerEvent] = [
            ResponseOutputTextDone(
                response_id=self.id, item_id=item_id, output_index=0, content_index=0, text=text
            ),
            ResponseContentPartDone(
                response_id=self.id,
                item_id=item_id,
                output_index=0,
                content_index=0,
                part=TextPart(text=text),
            ),
        ]
        if self._conversation is not None:
            self._conversation.finish_reply(item, raw)
            previous = self._conversation.previous_id(item_id)
            events.append(ConversationItemDone(previous_item_id=previous, item=item))
        events.append(ResponseOutputItemDone(response_id=self.id, output_index=0, item=item))
        return events

    def _make_item(self, item_id: str | None, status: str | None) -> MessageItem:
        part = ContentPart(type="output_text", text=self.text)
        return MessageItem(id=item_id, role="assistant", status=status, content=[part])

    def _describe(self, status: ResponseStatus) -> ResponseObject:
        return ResponseObject(
            id=self.id,
            status=status,
            output=[self.item] if self.item is not None else [],
            conversation_id=self._conversation.id if self._conversation is not None else None,
            output_modalities=["text"],
            max_output_tokens=self._max_output_tokens,
            metadata=self._metadata,
        )

    def _count_usage(self) -> Usage:
        last = self._last_delta
        if last is None:
            return Usage()
        cached = InputTokenDetails(
            text_tokens=last.num_prompt_tokens, cached_tokens=last.num_cached_tokens
        )
        cached.cached_tokens_details.text_tokens = last.num_cached_tokens
        return Usage(
            total_tokens=last.num_prompt_tokens + last.num_output_tokens,
            input_tokens=last.num_prompt_tokens,
            output_tokens=last.num_output_tokens,
            input_token_details=cached,
            output_token_details=OutputTokenDetails(text_tokens=last.num_output_tokens),
        )

    def _measure(self, now: float) -> ResponseMetrics:
        last, first_at = self._last_delta, self._first_delta_at
        num_tokens = last.num_output_tokens if last else 0
        speed = None
        if first_at is not None and num_tokens > 1 and self._last_delta_at > first_at:
            speed = round((num_tokens - 1) / (self._last_delta_at - first_at), 2)
        return ResponseMetrics(
            ttft_ms=None if first_at is None else _to_ms(first_at - self._created_at),
            queue_ms=_to_ms(last.queue_s) if last else None,
            total_ms=_to_ms(now - self._created_at),
            output_tokens=num_tokens,
            tokens_per_second=speed,
            cached_tokens=last.num_cached_tokens if last else 0,
        )


def _to_ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
