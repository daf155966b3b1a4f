"""Who has the floor: the replies of a session that are being written, and those that wait.

At most one reply writes the session's own conversation; it has the floor. Others run beside it. A
reply that is asked for while somebody has the floor is refused, waits, or takes the floor over. A
cancelled reply ends here and now; whatever the engine still says of it is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET

from engine.outputs import RequestDelta
from server.conversation.conversation import Conversation
from server.conversation.entries import join_notes
from server.conversation.truncation import check_truncation
from server.errors import (
    LimitExceeded,
    NoActiveResponse,
    ProtocolError,
    ResponseActive,
    TurnRunning,
)
from server.protocol.client_events import ConversationItemTruncate
from server.protocol.items import FunctionCallItem, Item, MessageItem
from server.protocol.server_events import (
    ConversationItemDeleted,
    ConversationItemTruncated,
    ServerEvent,
)
from server.session.effects import Abort, Effect, Generate, Send
from server.session.mood import Mood
from server.session.playback import Playback
from server.session.response import Response
from server.session.response_plan import ResponsePlan
from server.session.room import speaker_note, tell_turn
from server.session.waiting_line import WaitingLine, Wanted


@dataclass(slots=True, kw_only=True)
class Floor:
    """The replies of one session.

    Attributes:
        conversation: What its own reply is written into.
        stem: Of the replies' ids.
        new_item_id: Gives an id that no item has.
        max_parallel: Replies in the making, the conversation's own included.
        playback: What has been heard.
        line: Who waits for the floor.
        mood: What the character is doing.
    """

    conversation: Conversation
    stem: str
    new_item_id: Callable[[], str]
    max_parallel: int
    playback: Playback = field(default_factory=Playback)
    line: WaitingLine = field(default_factory=WaitingLine)
    mood: Mood = field(default_factory=Mood)
    _running: dict[str, Response] = field(default_factory=dict)
    _active_id: str | None = None
    _num_responses: int = 0

    @property
    def running_ids(self) -> list[str]:
        """Ids of the replies in the making, oldest first."""
        return list(self._running)

    @property
    def active_id(self) -> str | None:
        """The reply that has the floor."""
        return self._active_id

    def new_response_id(self) -> str:
        """An id that no reply of the session has had."""
        self._num_responses += 1
        return f"resp_{self.stem}_{self._num_responses}"

    def check_turn(self, turn_id: str) -> None:
        """Find out that nobody is answering a turn.

        Raises:
            TurnRunning: Its reply is being written, or waits.
        """
        for response in self._running.values():
            if response.turn_id == turn_id:
                raise TurnRunning(turn_id, response.id)
        if any(wanted.params.turn_id == turn_id for wanted in self.line):
            raise TurnRunning(turn_id, None)

    def choose(self, response_id: str | None) -> str:
        """Find the reply that a client means; ``None`` is the one that has the floor.

        Raises:
            NoActiveResponse: There is none.
        """
        chosen = response_id or self._active_id
        if chosen is None or chosen not in self._running:
            raise NoActiveResponse(response_id)
        return chosen

    def snapshot(self, item_id: str) -> tuple[Response, Item] | None:
        """Find an item that is being written, as it stands."""
        for response in self._running.values():
            item = response.snapshot(item_id)
            if item is not None:
                return response, item
        return None

    def check(self, plan: ResponsePlan) -> bool:
        """Find out whether a reply may begin now; false where it has to wait.

        Raises:
            ProtocolError: It may not begin, and does not wait.
        """
        active = self._active_id if plan.is_default else None
        if active is not None and plan.if_active == "error":
            raise ResponseActive(active)
        if active is not None and plan.if_active == "queue":
            return False
        num_running = len(self._running) - (active is not None)
        if num_running >= self.max_parallel:
            raise LimitExceeded(
                "the number of responses at once",
                num_running + 1,
                self.max_parallel,
                "wait for a response.done, or send response.cancel",
            )
        if plan.heard is not None:
            self._check_heard(plan.heard, active)
        return True

    def make_room(self, plan: ResponsePlan, wanted: Wanted) -> list[Effect]:
        """Let the oldest turns go where the conversation has grown over its bounds.

        To be called before anything else is done for a reply, as it may not begin.

        Raises:
            LimitExceeded: There is no room, and none may or can be made; nothing is changed.
        """
        if not plan.is_default:
            return []
        evict = plan.settings.truncation != "disabled"
        evicted = self.conversation.make_room_for_reply(_note(plan, wanted), evict=evict)
        return send(ConversationItemDeleted(item_id=item_id) for item_id in evicted)

    def clear_for(self, plan: ResponsePlan, now: float) -> list[Effect]:
        """Take the floor from whoever has it, and keep of that reply what was heard."""
        effects: list[Effect] = []
        if plan.heard is not None:
            self.playback.forget(plan.heard.item_id)  # it knows better
        if plan.is_default and self._active_id is not None:
            effects += self.cancel(self._active_id, now, by="user")
        heard = plan.heard
        if heard is None and plan.if_active == "interrupt" and plan.is_default:
            heard = self.playback.heard_of_last(self.conversation)
        if heard is not None and heard.item_id in self.conversation:  # it may have made room
            effects += self.truncate(heard)
        return effects

    def begin(
        self, plan: ResponsePlan, wanted: Wanted, now: float, generate: Callable[[str], Generate]
    ) -> list[Effect]:
        """Announce a reply that ``check`` has let pass, and have it written.

        Args:
            plan: What it is to be.
            wanted: Why it is there.
            now: Seconds.
            generate: Makes the request of an id; called when the conversation is as it will be.
        """
        self.conversation.add_note(_note(plan, wanted))
        response = self._add(plan, now)
        events = [*response.start(), *_turn(plan, response.id)]
        if plan.is_default:
            events += self.mood.change("thinking", wanted.reason, response_id=response.id)
        return [*send(events), generate(response.id)]

    def recite(self, plan: ResponsePlan, text: str, now: float) -> tuple[list[Effect], Response]:
        """Say words that are there already, as a reply that needs no engine.

        Returns:
            What to do, and the reply, which has ended.
        """
        response = self._add(plan, now)
        events = [*response.start(), *_turn(plan, response.id), *response.recite(text, now)]
        self._forget(response.id)
        return send(events), response

    def receive_delta(
        self, delta: RequestDelta, now: float
    ) -> tuple[list[Effect], Response | None]:
        """Take what the engine wrote; deltas of replies that do not run are ignored.

        Returns:
            What to do, and the conversation's own reply if it has just ended.
        """
        response = self._running.get(delta.request_id)
        if response is None:
            return [], None
        events = response.receive(delta, now)
        is_default = self._active_id == response.id
        if is_default and response.has_words:
            events[:0] = self.mood.change("speaking", "words", response_id=response.id)
        if not response.is_done:
            return send(events), None
        self._forget(response.id)
        if not is_default:
            return send(events), None
        reason = "failed" if response.has_failed else "finished"
        events += self.mood.change("idle", reason, response_id=response.id)
        return [*send(events), *self._cut_interrupted(response)], response

    def fail(self, request_id: str, error: ProtocolError, now: float) -> list[Effect]:
        """End a reply that could not be begun."""
        response = self._running.get(request_id)
        if response is None:
            return []
        is_default = self._active_id == request_id
        self._forget(request_id)
        events = response.end("failed", now, error=error)
        if is_default:
            events += self.mood.change("idle", "failed", response_id=request_id)
        return send(events)

    def cancel(
        self, response_id: str, now: float, *, by: str, error: ProtocolError | None = None
    ) -> list[Effect]:
        """End a reply here and now.

        Args:
            response_id: Which; it is running.
            now: Seconds.
            by: ``user`` spoke over it, or the client ``cancelled`` it.
            error: Why, when it is the server that ends it.
        """
        response = self._running[response_id]
        is_default = self._active_id == response_id
        self._forget(response_id)
        if error is None:
            events = response.end("cancelled", now, reason="client_cancelled")
        else:
            events = response.end("failed", now, error=error)
        if is_default:
            events += self.mood.change("interrupted", by, response_id=response_id)
        return [Abort(response_id), *send(events), *self._cut_interrupted(response)]

    def truncate(self, event: ConversationItemTruncate) -> list[Effect]:
        """Keep of an item what was heard."""
        text_end = None if event.text_end is UNSET else event.text_end
        self.conversation.truncate(event.item_id, event.content_index, text_end)
        truncated = ConversationItemTruncated(
            item_id=event.item_id,
            content_index=event.content_index,
            audio_end_ms=event.audio_end_ms,
            text_end=UNSET if text_end is None else text_end,
        )
        return [Send(truncated)]

    def _add(self, plan: ResponsePlan, now: float) -> Response:
        speaker = plan.speaker if plan.settings.cast.is_group else None
        response = Response(
            self.new_response_id(),
            conversation=self.conversation if plan.is_default else None,
            show=plan.show,
            form=plan.form,
            new_item_id=self.new_item_id,
            max_output_tokens=plan.settings.max_output_tokens,
            metadata=plan.metadata,
            now=now,
            character_id=UNSET if speaker is None else speaker.id,
            continues="" if plan.continues is None else plan.continues.id,
            turn_id=plan.turn_id,
        )
        self._running[response.id] = response
        if plan.is_default:
            self._active_id = response.id
        return response

    def _check_heard(self, heard: ConversationItemTruncate, interrupted: str | None) -> None:
        """Find out whether ``truncate`` will do, once the interrupted reply has ended."""
        try:
            found = self.snapshot(heard.item_id)
            if found is None:
                item = self.conversation.entry(heard.item_id).item
            else:
                response, item = found
                if response.id == interrupted and isinstance(item, MessageItem | FunctionCallItem):
                    item = msgspec.structs.replace(item, status="incomplete")
            text_end = None if heard.text_end is UNSET else heard.text_end
            check_truncation(item, heard.content_index, text_end)
        except ProtocolError as error:
            error.param = f"response.heard.{error.param}"
            raise

    def _cut_interrupted(self, response: Response) -> list[Effect]:
        """Cut a reply whose client has said where it stopped, while it was being written."""
        effects: list[Effect] = []
        for item in response.items:
            if item.id in self.conversation:
                heard = self.playback.take_interrupted(item.id)
                effects += [] if heard is None else self.truncate(heard)
        return effects

    def _forget(self, response_id: str) -> None:
        del self._running[response_id]
        if self._active_id == response_id:
            self._active_id = None


def _note(plan: ResponsePlan, wanted: Wanted) -> str:
    """What the model is told right before a reply that writes the conversation, for good."""
    if not plan.is_default:
        return ""
    is_turn = plan.settings.cast.is_group and plan.continues is None
    speaker = speaker_note(plan.speaker) if is_turn and plan.speaker is not None else ""
    return join_notes(wanted.note, speaker)


def _turn(plan: ResponsePlan, response_id: str) -> list[ServerEvent]:
    return tell_turn(plan.speaker if plan.settings.cast.is_group else None, response_id)


def send(events: Iterable[ServerEvent]) -> list[Effect]:
    """Have events written."""
    return [Send(event) for event in events]
