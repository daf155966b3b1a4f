"""Drives a workload against a target in real time: what the player decides is done when it is due.

One driver serves one event loop. Whatever it does between two waits is short, so that a request
leaves when it should; how late each left is in its record (``planned_s``, ``sent_s``).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from clients.load.line import Line, ReplyEnd, Target
from clients.replay.pieces import spread
from clients.replay.player import Break, Cancel, Heard, Player, Send
from clients.replay.records import RequestRecord
from clients.replay.script import Session
from clients.replay.texts import SessionTexts

REPLY_TIMEOUT_S = 600.0
"""A reply that has not ended by then is given up."""
OPEN_AHEAD_S = 1.0
"""A listener's line is opened so long before its first turn: people connect before they speak."""


class Driver:
    """One run of a workload; ``run`` once."""

    def __init__(
        self,
        sessions: Sequence[Session],
        texts: SessionTexts,
        target: Target,
        *,
        starts_at: float,
        clock: Callable[[], float] = time.monotonic,
        max_sessions: int | None = None,
        report_every_s: float | None = None,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
        on_progress: Callable[[int, int, int], None] = lambda sent, ended, failed: None,
    ) -> None:
        """Plan; nothing is opened yet.

        Args:
            sessions: Who talks. With ``max_sessions`` their start times are not looked at.
            texts: What they say.
            target: To whom.
            starts_at: Time of the run's second 0, on ``clock``.
            clock: Seconds; the loop's own time may be some milliseconds old.
            max_sessions: At most so many talk at a time, the next when one is over (a closed
                loop); ``None`` begins each when its time has come, whatever the others do.
            report_every_s: Report how far replies have been heard so often; ``None`` never.
            reply_timeout_s: A reply that has not ended so long after its question ends with the
                error ``timeout``, and its session with it.
            on_progress: Told after each send and end: requests sent, ended, and failed.
        """
        self._loop = asyncio.get_running_loop()
        self._starts_at = starts_at
        self._clock = clock
        self._texts = texts
        self._target = target
        self._on_progress = on_progress
        self._reply_timeout_s = reply_timeout_s
        ordered = sorted(sessions, key=lambda session: session.start_s)
        self._later: deque[Session] = deque()
        if max_sessions is not None:
            ordered = [replace(session, start_s=0.0) for session in ordered]
            self._later.extend(ordered[max_sessions:])
            ordered = ordered[:max_sessions]
        self._player = Player(ordered, vocab_size=None, report_every_s=report_every_s)
        self._unopened = deque(session for session in ordered if session.turns)
        self._listeners: dict[str, _Listener] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._over = self._loop.create_future()
        self._num_ended = self._num_failed = 0

    async def run(self) -> list[RequestRecord]:
        """Play everything; returns the records, in the order in which requests were sent."""
        try:
            self._tick()
            await self._over
        finally:
            if self._timer is not None:
                self._timer.cancel()
            lines = [listener.line for listener in self._listeners.values()]
            closings = [one.closing for one in self._listeners.values() if one.closing is not None]
            open_ones = (line.close() for line in lines if line is not None)
            await asyncio.gather(*open_ones, *closings)
        return self._player.records

    @property
    def now(self) -> float:
        """Seconds on the run's clock."""
        return self._clock() - self._starts_at

    def ended(self, listener: _Listener, *, is_failed: bool) -> None:
        """A reply is over: the session's next turn is planned, or the next session begins."""
        self._num_ended += 1
        self._num_failed += is_failed
        self._tell()
        self._loop.call_soon(self._after_end, listener)

    def _after_end(self, listener: _Listener) -> None:
        if listener.is_over:
            line, listener.line = listener.line, None
            if line is not None:
                closing = self._loop.create_task(line.close())
                listener.closing = closing
            if self._later:
                self._begin(replace(self._later.popleft(), start_s=self.now))
        self._tick()

    def _begin(self, session: Session) -> None:
        self._player.add(session)
        if session.turns:
            self._open(session)

    def _open(self, session: Session) -> None:
        listener = _Listener(self, session, self._player)
        self._listeners[session.session_id] = listener
        listener.line = self._target.open(session, self._texts.opening(session), listener)

    def _tick(self) -> None:
        """Do all that is due, and come back when the next is."""
        if self._over.done():
            return
        try:
            self._do_due()
        except Exception as error:
            self._over.set_exception(error)
            return
        if self._player.num_open == 0 and not self._later:
            self._over.set_result(None)
            return
        times = [self._player.next_time()]
        if self._unopened:
            times.append(self._unopened[0].start_s - OPEN_AHEAD_S)
        known = [time_s for time_s in times if time_s is not None]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if known:
            self._timer = self._loop.call_later(max(0.0, min(known) - self.now), self._tick)

    def _do_due(self) -> None:
        now = self.now
        while self._unopened and self._unopened[0].start_s - OPEN_AHEAD_S <= now:
            self._open(self._unopened.popleft())
        for action in self._player.due(now):
            match action:
                case Send(request_id, session, _, index, turn):
                    listener = self._listeners[session.session_id]
                    listener.begin(request_id)
                    assert listener.line is not None
                    listener.line.ask(turn, self._texts.turn(session, index))
                    self._player.on_sent(request_id, self.now)
                    listener.give_up_after(self._reply_timeout_s)
                    self._tell()
                case Cancel(request_id):
                    self._listener_of(request_id).cancel()
                case Heard(request_id, num_tokens):
                    self._listener_of(request_id).report(num_tokens)
                case Break(_, session_id, fault):
                    line = self._listeners[session_id].line
                    if line is not None:
                        line.fail(fault)

    def _listener_of(self, request_id: str) -> _Listener:
        return self._listeners[request_id.rpartition("/")[0]]

    def _tell(self) -> None:
        self._on_progress(len(self._player.records), self._num_ended, self._num_failed)


class _Listener:
    """One session: passes news of its line on to the player, with the time."""

    def __init__(self, driver: Driver, session: Session, player: Player) -> None:
        self._driver = driver
        self._session = session
        self._player = player
        self._request_id = ""
        self._num_ended = 0
        self._pieces: list[tuple[float, int]] = []
        self._timeout: asyncio.TimerHandle | None = None
        self.line: Line | None = None
        self.closing: asyncio.Task[None] | None = None
        self.is_over = False

    def begin(self, request_id: str) -> None:
        """A turn is about to be sent."""
        self._request_id = request_id
        self._pieces = []

    def give_up_after(self, seconds: float) -> None:
        """End the reply that runs with an error, unless it ends by itself before."""
        end = ReplyEnd(finish="error", error_code="timeout")
        self._timeout = asyncio.get_running_loop().call_later(seconds, self.on_end, end)

    def cancel(self) -> None:
        """Interrupt what runs."""
        if self.line is not None:
            self.line.cancel()

    def report(self, num_tokens: int) -> None:
        """Tell the target what was heard, in code points."""
        if self.line is not None:
            self.line.report(sum(chars for _, chars in self._pieces[:num_tokens]))

    def on_text(self, text: str) -> None:
        """A piece counts as one token until the end says otherwise."""
        now = self._driver.now
        self._pieces.append((now, len(text)))
        self._player.on_tokens(self._request_id, (0,), now)

    def on_first_segment(self) -> None:
        """Note when."""
        record = self._player.record_of(self._request_id)
        if record is not None and record.first_segment_s is None:
            record.first_segment_s = self._driver.now

    def on_resumed(self) -> None:
        """Count it with the reply that runs."""
        record = self._player.record_of(self._request_id)
        if record is not None:
            record.num_resumes += 1

    def on_disorder(self, *, num_gaps: int = 0, num_duplicates: int = 0) -> None:
        """Count it with the reply that runs."""
        record = self._player.record_of(self._request_id)
        if record is not None:
            record.num_gaps += num_gaps
            record.num_duplicates += num_duplicates

    def on_end(self, end: ReplyEnd) -> None:
        """Complete the record, and let the player plan what follows."""
        record = self._player.record_of(self._request_id)
        if record is None:
            return
        if self._timeout is not None:
            self._timeout.cancel()
        now = self._driver.now
        record.output_tokens = end.output_tokens
        record.server_ms = end.server_ms
        record.text_differs = end.text_differs
        record.token_times_s = spread(self._pieces, end.output_tokens)
        if record.cancelled_s is not None:
            record.cancel_acked_s = now
        self._player.on_end(
            self._request_id,
            now,
            finish=end.finish,
            prompt_tokens=end.prompt_tokens,
            cached_tokens=end.cached_tokens,
            error_code=end.error_code,
        )
        self._num_ended += 1
        is_failed = end.finish == "error"
        self.is_over = is_failed or self._num_ended == len(self._session.turns)
        self._driver.ended(self, is_failed=is_failed)
