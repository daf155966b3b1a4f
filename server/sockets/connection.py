"""Drives one session over one socket: messages in, effects out, no rule of its own.

Everything a session decides is carried out here, in order and without waiting: events go to the
outbox, requests to the engine. The engine's deltas come in synchronously, all of one step in one
go, and leave the same way. When the socket is gone, whatever was being written is called off.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Hashable, Iterable

import msgspec

from engine.outputs import RequestDelta
from server.engine_port import EnginePort
from server.errors import ErrorCode, ErrorType, ProtocolError
from server.log_lines import bare, log_line
from server.protocol.client_events import CharacterTrigger, ResponseCreate
from server.protocol.close_codes import CloseCode
from server.protocol.codec import decode_client_event, encode_server_event
from server.protocol.server_events import (
    ResponseFunctionCallArgumentsDelta,
    ResponseOutputTextDelta,
    ServerEvent,
)
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
from server.sockets.history import History
from server.sockets.outbox import EventRules, Outbox
from server.sockets.rate_limit import TokenBucket
from server.sockets.replies import Replies, ReplyListener
from server.sockets.wire import Socket
from server.state import ServerState

logger = logging.getLogger(__name__)

_UNREADABLE = frozenset({ErrorCode.INVALID_JSON, ErrorCode.INVALID_EVENT})
"""Errors that count as bad messages; what is merely refused or unknown never closes a socket."""


class Connection:
    """One session on one socket.

    Attributes:
        session: The state machine.
        outbox: What leaves, and how.
        replies: What the engine is writing for this session.
    """

    def __init__(
        self,
        socket: Socket,
        session: Session,
        state: ServerState,
        engine: EnginePort,
        history: History | None = None,
    ) -> None:
        """Put the parts together; ``run`` starts them.

        Args:
            socket: Whose session it is.
            session: The state machine.
            state: Shared with every room.
            engine: Who writes.
            history: Keeps the conversation; ``None`` for nobody.
        """
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._state = state
        self._limits = state.settings.limits
        self._todo: deque[Effect] = deque()
        self._is_executing = False
        self._is_ended = False
        self._num_unreadable = 0
        self._closing: asyncio.Task[None] | None = None
        self._closed_by_us: int | None = None
        self._history = history or History(session, None, "")
        self._waking: asyncio.TimerHandle | None = None  # when nobody has spoken for long
        self.session = session
        self.outbox: Outbox[ServerEvent] = Outbox(
            socket, _event_rules(session), state.settings.outbox, state.metrics
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

    async def run(self) -> None:
        """Serve the session to its end, whoever ends it. Raises nothing but cancellation."""
        started = self._loop.time()
        age = self._loop.call_later(self._limits.max_session_s, self._on_max_age)
        self._socket.on_drained(self.outbox.flush)
        try:
            self._execute(self.session.open(started))
            await self._read()
        except Exception as error:
            self._crash(error)
        finally:
            age.cancel()
            self._end()
            if self._closing is not None:
                await self._closing
            self._tell(self._loop.time() - started)

    def watch(self, now: float) -> None:
        """Look after the reader; called a few times a second for every connection."""
        self.outbox.watch(now)

    def close(self, code: CloseCode, reason: str, *, error: ProtocolError | None = None) -> None:
        """End the session and then the socket; what runs ends with ``error``.

        What is still kept for a slow reader is written before the close frame.
        """
        if self._closing is not None:
            return
        self._closed_by_us = int(code)
        if not self._is_ended:
            self._execute(self.session.close(self._loop.time(), error=error))
        self.outbox.flush()
        self._end()
        self._closing = self._loop.create_task(self._socket.close(code, reason))

    async def _read(self) -> None:
        bucket = TokenBucket(
            rate=self._limits.messages_per_s,
            burst=self._limits.message_burst,
            now=self._loop.time(),
        )
        while (message := await self._socket.receive()) is not None:
            # Waiting here fills the library's short queue, and then the client's own socket.
            if (wait := bucket.take(self._loop.time())) > 0:
                await asyncio.sleep(wait)
            if self._closing is not None:
                continue
            if isinstance(message, bytes):
                self.close(CloseCode.UNSUPPORTED_DATA, "Events are text; send text frames.")
            else:
                self._receive(message)

    def _receive(self, text: str) -> None:
        now = self._loop.time()
        try:
            event = decode_client_event(text)
            self._num_unreadable = 0
            if self._state.is_draining and isinstance(event, ResponseCreate | CharacterTrigger):
                raise draining_error(event.event_id)
        except ProtocolError as error:
            self._execute(self.session.refuse(error, now))
            self._count_unreadable(error)
        else:
            self._execute(self.session.receive(event, now))

    def _count_unreadable(self, error: ProtocolError) -> None:
        if error.code not in _UNREADABLE:
            self._num_unreadable = 0
            return
        self._num_unreadable += 1
        if self._num_unreadable >= self._limits.max_bad_messages:
            self.close(
                CloseCode.BAD_MESSAGES,
                f"{self._num_unreadable} messages in a row could not be read.",
            )

    def _execute(self, effects: Iterable[Effect]) -> None:
        """Carry out effects in order, also those that come up meanwhile."""
        self._todo.extend(effects)
        if self._is_executing:
            return
        self._is_executing = True
        try:
            while self._todo:
                self._carry_out(self._todo.popleft())
        finally:
            self._is_executing = False
        self._history.keep()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(event):
                self.outbox.push(event)
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

    def _on_delta(self, delta: RequestDelta) -> None:
        if self._is_ended:
            return
        try:
            self._execute(self.session.receive_delta(delta, self._loop.time()))
        except Exception as error:
            self._crash(error)

    def _on_failure(self, request_id: str, error: Exception) -> None:
        if self._is_ended:
            return
        try:
            self._execute(self.session.fail_generation(request_id, error, self._loop.time()))
        except Exception as failure:
            self._crash(failure)

    def _on_compacted(self, tokens_before: int, tokens_after: int) -> None:
        if not self._is_ended:
            self._execute(self.session.compacted(tokens_before, tokens_after))

    def _wake_at(self, at: float | None) -> None:
        if self._waking is not None:
            self._waking.cancel()
        self._waking = None if at is None else self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._waking = None
        if self._is_ended or self._state.is_draining:
            return
        try:
            self._execute(self.session.wake(self._loop.time()))
        except Exception as error:
            self._crash(error)

    def _on_summarised(self, summary: str, tokens_before: int, tokens_after: int) -> None:
        if not self._is_ended:
            self._execute(self.session.summarised(summary, tokens_before, tokens_after))

    def _on_max_age(self) -> None:
        minutes = self._limits.max_session_s / 60
        reason = f"Your session hit the maximum duration of {minutes:g} minutes."
        error = ProtocolError("session_expired", reason)
        self._execute(self.session.refuse(error, self._loop.time()))
        self.close(CloseCode.GOING_AWAY, reason, error=error)

    def _crash(self, error: Exception) -> None:
        """A mistake of ours: log where, tell the client nothing, let the others be."""
        logger.error("session %s failed", self.session.id, exc_info=bare(error))
        self._todo.clear()
        self._end()
        self.close(CloseCode.INTERNAL_ERROR, "The server failed; come back and try again.")

    def _end(self) -> None:
        """Stop everything that runs for this session; doing this twice does no harm."""
        if self._is_ended:
            return
        self._is_ended = True
        self._wake_at(None)
        try:
            for effect in self.session.close(self._loop.time()):
                if isinstance(effect, Abort):
                    self.replies.abort(effect.request_id)
            self._history.keep()
        finally:
            self.replies.close()

    def _tell(self, seconds: float) -> None:
        code = self._closed_by_us or self._socket.close_code
        if self.outbox.evicted is not None:
            code = int(CloseCode.STALLED_READER)
        known = code in CloseCode.__members__.values() or code in (1005, 1006)
        self._state.metrics.ws_closes.labels(str(code) if known else "other").inc()
        log_line(
            logger,
            "session ended",
            session=self.session.id,
            code=code,
            evicted=self.outbox.evicted,
            seconds=round(seconds, 3),
            responses=self.replies.num_started,
        )


def draining_error(event_id: str | None = None) -> ProtocolError:
    """What is said to whoever wants something new while the server drains."""
    return ProtocolError(
        "server_draining",
        "response.create was refused: the server is about to restart; reconnect in a few seconds",
        type=ErrorType.SERVER,
        event_id=event_id,
    )


def _event_rules(session: Session) -> EventRules[ServerEvent]:
    counter = session.event_counter

    def stamp(event: ServerEvent) -> None:
        event.event_id = counter.next_id()

    def text(event: ServerEvent) -> tuple[Hashable, str] | None:
        if isinstance(event, ResponseOutputTextDelta):
            return (event.item_id, event.content_index), event.delta
        if isinstance(event, ResponseFunctionCallArgumentsDelta):
            return (event.item_id, "arguments"), event.delta
        return None

    def with_text(event: ServerEvent, text: str) -> ServerEvent:
        return msgspec.structs.replace(event, delta=text)

    return EventRules(stamp=stamp, encode=encode_server_event, text=text, with_text=with_text)
