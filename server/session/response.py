"""One reply: the chain of events from ``response.created`` to ``response.done``.

::

    response.created
      │  with the first face or word:
      ├─► output_item.added, conversation.item.added, content_part.added
      ├─► (character.expression, .motion) output_text.delta (character.segment, .visemes) …
      ├─► output_text.done, content_part.done, conversation.item.done, output_item.done
      │  with the call of a tool:
      ├─► output_item.added, conversation.item.added
      ├─► function_call_arguments.delta …
      ├─► function_call_arguments.done, conversation.item.done, output_item.done
      ▼
    (character.metrics) response.done

Items follow each other as the model wrote them. However a reply ends, what was opened is closed by
the same chain; a reply that ends before its first piece, unless it completed, has no item at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from msgspec import UNSET, UnsetType

from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.conversation.conversation import Conversation
from server.errors import ProtocolError
from server.protocol.character_events import CharacterMetrics, event_name
from server.protocol.items import FunctionCallItem, Item, MessageItem
from server.protocol.objects import (
    ResponseMetrics,
    ResponseObject,
    ResponseStatus,
    StatusDetails,
)
from server.protocol.server_events import ResponseCreated, ResponseDone, ServerEvent
from server.session.delivery import Show
from server.session.failures import describe, engine_aborted, from_delta
from server.session.measures import ReplyClock
from server.session.output_items import CallOutput, MessageOutput, Place
from server.text.tag_rules import TagRules
from server.text.tool_calls import (
    ArgumentsPiece,
    CallBegun,
    CallEnded,
    ReplyPiece,
    Words,
)
from server.tools.reply_form import ReplyForm


class Response:
    """A reply in the making. Every method that returns events returns them in wire order."""

    def __init__(
        self,
        response_id: str,
        *,
        conversation: Conversation | None,
        show: Show,
        form: ReplyForm,
        new_item_id: Callable[[], str],
        max_output_tokens: int | None,
        metadata: Mapping[str, str] | None,
        now: float,
        character_id: str | UnsetType = UNSET,
        continues: str = "",
        turn_id: str = "",
    ) -> None:
        """Hold what the reply is made of.

        Args:
            response_id: Also the engine's request id.
            conversation: Where the items go; ``None`` for a reply beside it.
            show: What becomes of tags, and what is told beside the words.
            form: Which tools it may call, and whether its text is talk.
            new_item_id: Gives an id that no item of the conversation has.
            max_output_tokens: For show; ``None`` is ``inf``.
            metadata: The client's, given back as it is.
            now: Seconds, on the clock of all further ``now``.
            character_id: Who speaks, where several are in the room.
            continues: Id of the item that its first one goes on with, if it does.
            turn_id: The client's name of the turn that it answers; empty for none.
        """
        self.id = response_id
        self.turn_id = turn_id
        self.is_done = False
        self.has_failed = False
        self._conversation = conversation
        self._show = show if form.is_talk else replace(show, tags=TagRules())
        self._parser = form.parser()
        self._new_item_id = new_item_id
        self._character_id = character_id
        self._continues = continues
        self._max_output_tokens: int | str = (
            "inf" if max_output_tokens is None else max_output_tokens
        )
        self._metadata = dict(metadata) if metadata is not None else None
        self._clock = ReplyClock(now)
        self._outputs: list[MessageOutput | CallOutput] = []  # announced ones
        self._open: MessageOutput | CallOutput | None = None  # a message perhaps not yet announced
        self._num_chars = 0  # of the engine's text before the newest delta

    @property
    def has_words(self) -> bool:
        """Whether anything of it has been said."""
        return any(message.has_text for message in self._messages)

    def speaks_until(self, now: float) -> float:
        """When a usual voice has said all of it; at once where nobody asked for segments."""
        started = [
            message.delivery.first_segment_ms / 1000
            for message in self._messages
            if message.delivery.first_segment_ms is not None
        ]
        if not started:
            return now
        seconds = sum(message.delivery.speech_s for message in self._messages)
        return max(now, self._clock.created_at + min(started) + seconds)

    @property
    def items(self) -> list[Item]:
        """Its items as they stand, in order."""
        snapshots = (output.snapshot() for output in self._outputs)
        return [item for item in snapshots if item is not None]

    def start(self) -> list[ServerEvent]:
        """Announce the reply."""
        return [ResponseCreated(response=self._describe("in_progress"))]

    def receive(self, delta: RequestDelta, now: float) -> list[ServerEvent]:
        """Take what one step brought, and end the reply if it was the last."""
        self._clock.note(delta, now)
        t_ms = self._clock.since_ms(now) if self._show.events else 0.0  # nobody else looks at it
        events = self._take(self._parse(delta.text), t_ms)
        self._num_chars += len(delta.text)
        match delta.finish_reason:
            case None:
                pass
            case FinishReason.STOP:
                if self._parser is not None:
                    events += self._take(self._parser.finish(), t_ms)
                if isinstance(self._open, MessageOutput):
                    at_stop_string = delta.met_stop_string
                    events += self._with_open(self._open.flush(t_ms, at_stop_string=at_stop_string))
                events += self.end("completed", now)
            case FinishReason.LENGTH:
                events += self.end("incomplete", now, reason="max_output_tokens")
            case FinishReason.ABORT:
                events += self.end("failed", now, error=engine_aborted())
            case FinishReason.ERROR:
                events += self.end("failed", now, error=from_delta(delta))
        return events

    def recite(self, text: str, now: float) -> list[ServerEvent]:
        """Say words that are there already, tags and all, and end."""
        t_ms = self._clock.since_ms(now)
        events = self._take([Words(text)], t_ms)
        if isinstance(self._open, MessageOutput):
            events += self._with_open(self._open.flush(t_ms))
        return events + self.end("completed", now)

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
        self.has_failed = status == "failed"
        completed = status == "completed"
        events: list[ServerEvent] = []
        if completed and not self._outputs:
            message = self._open_message()
            events += self._with_open(message.open())
        events += self._close(self._clock.since_ms(now), completed=completed)
        if completed and self.turn_id and self._conversation is not None:
            for item in self.items:
                self._conversation.name_turn(item.id or "", self.turn_id)
        details = None
        if status in ("cancelled", "failed", "incomplete"):
            failure = None if error is None else describe(error)
            details = StatusDetails(type=status, reason=reason, error=failure)
        done = self._describe(status)
        done.status_details = details
        done.usage = self._clock.usage()
        told = self._clock.metrics(now, self._first_segment_ms)
        if event_name(CharacterMetrics) in self._show.events:
            events.append(self._measure(told))
        events.append(ResponseDone(response=done, x_metrics=told))
        return events

    def raw_length(self, item_id: str, text_end: int) -> int:
        """How many code points of the engine's text come before a place in an item's clean text."""
        for message in self._messages:
            if message.item is not None and message.item.id == item_id:
                return message.raw_length(text_end)
        return 0

    def snapshot(self, item_id: str) -> MessageItem | FunctionCallItem | None:
        """One of its items as it stands; ``None`` where it has no such item."""
        for output in self._outputs:
            if output.item is not None and output.item.id == item_id:
                return output.snapshot()
        return None

    def _parse(self, text: str) -> list[ReplyPiece]:
        if not text:
            return []
        return [Words(text)] if self._parser is None else self._parser.feed(text)

    def _take(self, pieces: list[ReplyPiece], t_ms: float) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        for piece in pieces:
            if isinstance(piece, Words):  # most are
                message = self._open_message()
                events += self._with_open(message.feed(piece.text, t_ms))
                continue
            match piece:
                case CallBegun(name):
                    if isinstance(self._open, MessageOutput):
                        events += self._with_open(self._open.flush(t_ms))
                    events += self._close(t_ms, completed=True)
                    self._open = CallOutput(self._next_place(), name)
                    events += self._with_open(self._open.open())
                case ArgumentsPiece(text) if isinstance(self._open, CallOutput):
                    events += self._open.feed(text)
                case CallEnded(is_whole):
                    events += self._close(t_ms, completed=is_whole)
        return events

    def _open_message(self) -> MessageOutput:
        if not isinstance(self._open, MessageOutput):
            self._open = MessageOutput(self._next_place(), self._show, raw_start=self._num_chars)
        return self._open

    def _with_open(self, events: list[ServerEvent]) -> list[ServerEvent]:
        """Count the open item in once it has been announced."""
        output = self._open
        if output is not None and output.item is not None and output not in self._outputs:
            self._outputs.append(output)
        return events

    def _close(self, t_ms: float, *, completed: bool) -> list[ServerEvent]:
        output, self._open = self._open, None
        return [] if output is None else output.close(t_ms, completed=completed)

    def _next_place(self) -> Place:
        return Place(
            response_id=self.id,
            output_index=len(self._outputs),
            conversation=self._conversation,
            new_item_id=self._new_item_id,
            character_id=self._character_id,
            continues="" if self._outputs else self._continues,
        )

    @property
    def _messages(self) -> list[MessageOutput]:
        return [output for output in self._outputs if isinstance(output, MessageOutput)]

    @property
    def _first_segment_ms(self) -> float | None:
        times = (message.delivery.first_segment_ms for message in self._messages)
        return min((t_ms for t_ms in times if t_ms is not None), default=None)

    def _measure(self, told: ResponseMetrics) -> CharacterMetrics:
        return CharacterMetrics(
            response_id=self.id,
            queue_ms=told.queue_ms,
            prefill_ms=told.prefill_ms,
            ttft_ms=told.ttft_ms,
            first_segment_ms=told.first_segment_ms,
            itl_ms=told.itl_ms,
            total_ms=told.total_ms,
            output_tokens=told.output_tokens,
            cached_tokens=told.cached_tokens,
            batch=told.batch,
            preemptions=told.preemptions,
            num_segments=sum(message.delivery.num_segments for message in self._messages),
        )

    def _describe(self, status: ResponseStatus) -> ResponseObject:
        return ResponseObject(
            id=self.id,
            status=status,
            output=self.items,
            conversation_id=self._conversation.id if self._conversation is not None else None,
            output_modalities=["text"],
            max_output_tokens=self._max_output_tokens,
            metadata=self._metadata,
            turn_id=self.turn_id or UNSET,
        )
