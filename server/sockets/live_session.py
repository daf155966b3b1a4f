"""Drives one session for as long as it lives, with a socket or without: effects out, news in.

Everything a session decides is carried out here, in order and without waiting: events go to the
outbox, requests to the engine, changes to the store. The engine's deltas come in synchronously, all
of one step in one go, and leave the same way.

::

            greet                     detach                       grace over
    (new) ─────────► attached ◄─────────────────► parked ──────────► parked, replies ended
                        │        come back          │ window over
                        └────────► ended ◄──────────┘

An event that acknowledges something of the conversation waits until that is safe in the store, and
so does everything behind it; the engine is asked at once. Where it cannot be made safe the session
ends: what it remembers is more than what is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from engine.outputs import RequestDelta
from server.engine_port import EnginePort
from server.errors import ConversationTaken, InvalidValue, ProtocolError, shorten
from server.log_lines import bare, log_line
from server.protocol.character_events import CharacterSessionExpiring
from server.protocol.client_events import ClientEvent
from server.protocol.close_codes import CloseCode
from server.protocol.objects import ResumeObject
from server.protocol.server_events import ResponseOutputTextDelta, ServerEvent
from server.recording.writer import Recording
from server.resume.gap import Gap
from server.resume.journal import Journal
from server.session.effects import (
    Abort,
    Compact,
    Discard,
    Effect,
    Generate,
    Prepare,
    ReportPlayback,
    Send,
    Wake,
)
from server.session.session import Session
from server.sockets.event_rules import make_event_rules
from server.sockets.history import History
from server.sockets.outbox import Outbox
from server.sockets.recorded_outbox import RecordedOutbox
from server.sockets.replies import Replies, ReplyListener
from server.sockets.reply_gate import ReplyGate
from server.sockets.safekeeping import Safekeeping
from server.sockets.unkept_ends import ends_as_failed
from server.sockets.wire import Socket
from server.state import ServerState

logger = logging.getLogger(__name__)

EXPIRY_NOTICE_S = 60.0
"""How long before its end a session says so."""
_TAKEN = "Another session goes on with the conversation."


class Attachment(Protocol):
    """The socket's half: what a live session needs of a connection."""

    @property
    def socket(self) -> Socket:
        """Where events go."""
        ...

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the socket, soon; what was written before leaves first."""
        ...


@dataclass(frozen=True, slots=True)
class Return:
    """How a client has come back.

    Attributes:
        last_event_id: The last event that it has seen, as it says.
        token: For the next time.
    """

    last_event_id: str | None
    token: str


class LiveSession:
    """One session, from its first socket to its end.

    Attributes:
        session: The state machine.
        outbox: What leaves, and how.
        replies: What the engine is writing for this session.
        num_sockets: How many it has had.
    """

    def __init__(
        self,
        session: Session,
        state: ServerState,
        engine: EnginePort,
        history: History | None = None,
        *,
        recording: Recording | None = None,
        on_end: Callable[[LiveSession], None] = lambda _: None,
    ) -> None:
        """Put the parts together; ``greet`` starts them.

        Args:
            session: The state machine.
            state: Shared with every room.
            engine: Who writes.
            history: Keeps the conversation; ``None`` for nobody.
            recording: Writes down what is said and when; ``None`` for nobody.
            on_end: Called once, when the session has ended.
        """
        self._loop = asyncio.get_running_loop()
        self._state = state
        self._todo: deque[Effect] = deque()
        self._is_executing = False
        self._is_ended = False
        self._on_end = on_end
        self._attached: Attachment | None = None
        self._started = self._loop.time()
        self._parked_since: float | None = None
        self._parked_timers: list[asyncio.TimerHandle] = []
        self._life_timers: list[asyncio.TimerHandle] = []
        self._waking: asyncio.TimerHandle | None = None  # when nobody has spoken for long
        self._has_overslept = False
        self.session = session
        self._rules = make_event_rules(session.id)
        self._journal: Journal[ServerEvent] = Journal(
            self._rules, max_told_bytes=state.settings.resume.max_told_bytes
        )
        outbox = Outbox if recording is None else partial(RecordedOutbox, recording)
        self.outbox: Outbox[ServerEvent] = outbox(
            self._journal, state.settings.outbox, state.metrics, self._loop.time
        )
        self._recording = recording
        if recording is not None:
            recording.start(self._started)
        self._safekeeping = Safekeeping(
            history or History(session, None, ""),
            self._journal,
            state.metrics,
            on_safe=self.outbox.release,
            on_failed=self._on_kept_badly,
            on_gone=self.refuse,
        )
        self.replies = Replies(
            state,
            engine,
            session.id,
            ReplyListener(
                self._on_delta,
                self._on_failure,
                self._on_compacted,
                session.note_read,
                on_summarised=self._on_summarised,
            ),
        )
        self.num_sockets = 0

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self._is_ended

    @property
    def parked_since(self) -> float | None:
        """Since when it waits for its client; ``None`` while it has a socket, or has ended."""
        return self._parked_since

    def serves(self, attachment: Attachment) -> bool:
        """Whether this is the socket that the session has now."""
        return self._attached is attachment

    def greet(self, attachment: Attachment, token: str | None) -> None:
        """Begin on the first socket.

        Args:
            attachment: It.
            token: How to come back; ``None`` for not at all.
        """
        limit = self._state.settings.limits.max_session_s
        notice = limit - EXPIRY_NOTICE_S
        if notice > 0:
            self._life_timers.append(self._loop.call_later(notice, self._on_expiring))
        self._life_timers.append(self._loop.call_later(limit, self._on_max_age))
        self._take(attachment)
        self.outbox.attach(attachment.socket)
        resume = None if token is None else self._how_to_come_back(token)
        self._guard(lambda: self.session.open(self._loop.time(), resume=resume))

    def come_back(self, attachment: Attachment, how: Return) -> bool:
        """Go on over another socket; one that is still open is closed.

        Returns:
            Whether the client has missed something for good.
        """
        if self._attached is not None:
            self._attached.close(CloseCode.REPLACED, "The client has come back on another socket.")
        if self._recording is not None:
            self._recording.socket_resumed(self._loop.time())
        self._take(attachment)
        self.outbox.detach()
        gap, error = self._rewind(how.last_event_id)
        greeting = self.session.resumed(
            self._how_to_come_back(how.token),
            from_event_id=how.last_event_id,
            num_waiting=self._journal.num_untold,
            gap=gap,
        )
        self._journal.put_first(greeting)
        self.outbox.attach(attachment.socket)
        if error is not None:
            self.refuse(error)
        if self._has_overslept:
            self._loop.call_soon(self._wake)
        return gap is not None

    def detach(self, attachment: Attachment) -> None:
        """The socket is gone: wait for the client, or end."""
        if self._attached is not attachment:
            return
        self._attached = None
        self.outbox.detach()
        resume = self._state.settings.resume
        if self._is_ended:
            return
        if self._recording is not None:
            self._recording.socket_closed(self._loop.time())
        if not resume.window_s:
            self.end()
            return
        # What is ready for a next turn may never be asked for, and holds a place in the engine.
        self.replies.discard()
        self._parked_since = self._loop.time()
        self._parked_timers = [
            self._loop.call_later(resume.detach_grace_s, self._abandon),
            self._loop.call_later(resume.window_s, self.end),
        ]

    def watch(self, now: float) -> None:
        """Look after the reader and what was told; called a few times a second."""
        self.outbox.watch(now)
        self._journal.forget(now - self._state.settings.resume.window_s)

    def receive(self, event: ClientEvent) -> None:
        """Do what the client asks."""
        if self._recording is not None:
            self._recording.received(event, self._loop.time())
        self._execute(self.session.receive(event, self._loop.time()))

    def refuse(self, error: ProtocolError) -> None:
        """Tell the client what could not be done."""
        self._guard(lambda: self.session.refuse(error, self._loop.time()))

    def tell(self, event: ServerEvent) -> None:
        """Tell the client of something, if it wants to know."""
        self._guard(lambda: self.session.tell(event))

    def close(self, code: CloseCode, reason: str, *, error: ProtocolError | None = None) -> None:
        """End the session and then the socket; what runs ends with ``error``.

        What is still kept for a slow reader is written before the close frame.
        """
        attached = self._attached
        if not self._is_ended:
            self._guard(lambda: self.session.close(self._loop.time(), error=error))
        self.outbox.flush()
        self.end()
        if attached is not None:
            attached.close(code, reason)

    def give_way(self) -> None:
        """End: another session goes on with the conversation."""
        error = ConversationTaken()
        self.refuse(error)
        self.close(CloseCode.REPLACED, _TAKEN, error=error)

    def end(self) -> None:
        """Stop everything that runs for this session; doing this twice does no harm."""
        if self._is_ended:
            return
        self._is_ended = True
        self._wake_at(None)
        for timer in (*self._life_timers, *self._parked_timers):
            timer.cancel()
        self._parked_since = None
        try:
            for effect in self.session.close(self._loop.time()):
                if isinstance(effect, Abort):
                    self.replies.abort(effect.request_id)
            self._safekeeping.keep()
        finally:
            self.replies.close()
            if self._recording is not None:
                self._recording.end(self._loop.time())
            log_line(
                logger,
                "session ended",
                session=self.session.id,
                seconds=round(self._loop.time() - self._started, 3),
                responses=self.replies.num_started,
                sockets=self.num_sockets,
            )
            self._on_end(self)

    async def safe(self) -> None:
        """Wait until nothing that was said waits for the store any more."""
        await self._safekeeping.safe()

    def crash(self, error: Exception) -> None:
        """A mistake of ours: log where, tell the client nothing, let the others be."""
        logger.error("session %s failed", self.session.id, exc_info=bare(error))
        self._todo.clear()
        self.end()
        if self._attached is not None:
            reason = "The server failed; come back and try again."
            self._attached.close(CloseCode.INTERNAL_ERROR, reason)

    def _take(self, attachment: Attachment) -> None:
        self._attached = attachment
        self._parked_since = None
        for timer in self._parked_timers:
            timer.cancel()
        self._parked_timers = []
        self.num_sockets += 1

    def _how_to_come_back(self, token: str) -> ResumeObject:
        return ResumeObject(token=token, window_s=self._state.settings.resume.window_s)

    def _rewind(self, last_event_id: str | None) -> tuple[Gap | None, ProtocolError | None]:
        """Find out what the client has missed for good, and what is wrong with what it said."""
        error = None
        number = None
        if last_event_id is not None:
            number = self._rules.number(last_event_id)
            if number is None or number > self._journal.last_number:
                number = None
                error = InvalidValue(
                    "last_event_id",
                    f"last_event_id is {shorten(last_event_id)}, which this session never sent; "
                    "its items are told anew instead",
                )
        return self._journal.rewind(number), error

    def _guard(self, decide: Callable[[], Sequence[Effect]]) -> None:
        """Carry out what the session decides; a mistake of ours ends it, and nobody else's."""
        try:
            self._execute(decide())
        except Exception as error:
            self.crash(error)

    def _execute(self, effects: Sequence[Effect]) -> None:
        """Carry out effects in order, also those that come up meanwhile."""
        is_alone = len(effects) == 1 and not self._todo and not self._is_executing
        if is_alone and isinstance(effects[0], Send):
            event = effects[0].event
            if isinstance(event, ResponseOutputTextDelta):  # most are: no item is another by it
                self.outbox.push(event)
                return
        self._todo.extend(effects)
        if self._is_executing:
            return
        self._is_executing = True
        told: list[ServerEvent] = []
        try:
            while self._todo:
                effect = self._todo.popleft()
                if isinstance(effect, Send):
                    told.append(effect.event)
                    continue
                self._carry_out(effect)
                if isinstance(effect, Generate):
                    gate = ReplyGate(self._state, effect.tenant)
                    if (left := gate.rate_limits(self._loop.time())) is not None:
                        told.append(left)
        finally:
            self._is_executing = False
        self._safekeeping.keep()
        for event in told:
            self.outbox.push(event)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Generate():
                self.replies.start(effect)
            case Abort(request_id):
                self.replies.abort(request_id)
            case Prepare():
                self.replies.prepare(effect)
            case Discard():
                self.replies.discard()
            case Compact():
                self.replies.compact(effect)
            case ReportPlayback(request_id, num_chars):
                self.replies.report_playback(request_id, num_chars)
            case Wake(at):
                self._wake_at(at)

    def _on_kept_badly(self, error: ProtocolError, dropped: Sequence[bytes]) -> None:
        if self._is_ended:
            return
        self.refuse(error)
        for event in ends_as_failed(dropped, error):
            self.outbox.push(event)
        if isinstance(error, ConversationTaken):
            self.close(CloseCode.REPLACED, _TAKEN, error=error)
        else:
            self.close(CloseCode.TRY_AGAIN_LATER, "What was said could not be kept.", error=error)

    def _on_delta(self, delta: RequestDelta) -> None:
        if self._is_ended:
            return
        try:  # as ``_guard`` does, without a closure for each token
            self._execute(self.session.receive_delta(delta, self._loop.time()))
        except Exception as error:
            self.crash(error)

    def _on_failure(self, request_id: str, error: Exception) -> None:
        if not self._is_ended:
            self._guard(lambda: self.session.fail_generation(request_id, error, self._loop.time()))

    def _on_compacted(self, tokens_before: int, tokens_after: int) -> None:
        if not self._is_ended:
            self._guard(lambda: self.session.compacted(tokens_before, tokens_after))

    def _on_summarised(self, summary: str, tokens_before: int, tokens_after: int) -> None:
        if not self._is_ended:
            self._guard(lambda: self.session.summarised(summary, tokens_before, tokens_after))

    def _wake_at(self, at: float | None) -> None:
        if self._waking is not None:
            self._waking.cancel()
        self._has_overslept = False
        self._waking = None if at is None else self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._waking = None
        if self._is_ended or self._state.is_draining:
            return
        if self._attached is None:  # nobody is there to be spoken to
            self._has_overslept = True
            return
        self._has_overslept = False
        self._guard(lambda: self.session.wake(self._loop.time()))

    def _abandon(self) -> None:
        self._guard(lambda: self.session.abandon(self._loop.time()))

    def _on_expiring(self) -> None:
        self.tell(CharacterSessionExpiring(in_ms=int(EXPIRY_NOTICE_S * 1000)))

    def _on_max_age(self) -> None:
        minutes = self._state.settings.limits.max_session_s / 60
        reason = f"Your session hit the maximum duration of {minutes:g} minutes."
        error = ProtocolError("session_expired", reason)
        self.refuse(error)
        self.close(CloseCode.GOING_AWAY, reason, error=error)
