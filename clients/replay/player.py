"""Plays a workload: decides who sends, hears and interrupts when. No clock, no socket.

A target tells it what arrived, asks what is due, and does what it is told; live servers and the
simulator are driven by the same decisions. Each listener's next turn follows from when the last
reply has been read, so a slow server is asked less: the loop is closed within a session and open
between sessions.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from clients.replay.playback import heard_at
from clients.replay.prompts import opening_ids, turn_ids
from clients.replay.records import RequestRecord
from clients.replay.script import SPEECH_TOKENS_PER_S, Fault, Session, Turn


@dataclass(frozen=True, slots=True)
class Send:
    """Submit a request.

    Attributes:
        request_id: Its name.
        session: Whose it is; persona, tenant, priority and speed are the session's.
        prompt_token_ids: The whole conversation so far; empty where nobody draws ids.
        index: Which of the session's turns.
        turn: What is asked; ``output_tokens`` is the length of the reply.
    """

    request_id: str
    session: Session
    prompt_token_ids: list[int]
    index: int
    turn: Turn


@dataclass(frozen=True, slots=True)
class Cancel:
    """Call a request off."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Break:
    """Let something go wrong on the wire of a session."""

    request_id: str
    session_id: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Heard:
    """Report how many tokens of a reply its listener has had."""

    request_id: str
    num_tokens: int


Action = Send | Cancel | Break | Heard
_Kind = Literal["send", "interrupt", "report", "break"]


@dataclass(slots=True)
class _State:
    """Where one session stands."""

    session: Session
    turn: int = 0
    history: list[int] = field(default_factory=list)
    record: RequestRecord | None = None
    reply: list[int] = field(default_factory=list)
    is_live: bool = False


class Player:
    """Every session of a workload, and the records of what happened.

    Args:
        sessions: Who talks.
        vocab_size: Token ids are drawn below it; ``None`` for a target that takes words, for which
            none are drawn.
        report_every_s: Report playback so often while a reply is live; ``None`` never.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        *,
        vocab_size: int | None,
        report_every_s: float | None = None,
    ) -> None:
        self.records: list[RequestRecord] = []
        self._vocab_size = vocab_size
        self._report_every_s = report_every_s
        self._live: dict[str, _State] = {}
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _Kind, _State, str]] = []
        self._called_off: dict[str, RequestRecord] = {}
        self._faults: dict[str, list[Fault]] = {}
        self._num_open = 0
        for session in sessions:
            self.add(session)

    def add(self, session: Session) -> None:
        """Let another session come; one without turns is over already."""
        if session.turns:
            self._num_open += 1
            self._at(session.start_s, "send", _State(session), "")

    @property
    def num_open(self) -> int:
        """Sessions that have turns left."""
        return self._num_open

    @property
    def num_live(self) -> int:
        """Requests that were sent and have not ended."""
        return len(self._live)

    def next_time(self) -> float | None:
        """Return when something is due next; ``None`` when nothing is planned."""
        return self._timers[0][0] if self._timers else None

    def due(self, now: float) -> list[Action]:
        """Return what has to be done by now, in order of when it was due."""
        actions: list[Action] = []
        while self._timers and self._timers[0][0] <= now:
            time_s, _, kind, state, request_id = heapq.heappop(self._timers)
            if kind == "send":
                actions.append(self._send(state, time_s))
            elif kind == "break":
                fault = self._faults[request_id].pop(0)
                actions.append(Break(request_id, state.session.session_id, fault))
            elif request_id in self._live:
                if kind == "interrupt":
                    self._cancelled(request_id, time_s)
                    actions.append(Cancel(request_id))
                else:
                    actions.append(self._report(state, request_id, time_s))
        return actions

    def on_sent(self, request_id: str, now: float) -> None:
        """Learn when a request really left; until now it counts as sent when it was due."""
        state = self._live.get(request_id)
        if state is not None and state.record is not None:
            state.record.planned_s, state.record.sent_s = state.record.sent_s, now

    def record_of(self, request_id: str) -> RequestRecord | None:
        """The record of a reply that has not ended; ``None`` for any other."""
        state = self._live.get(request_id)
        return None if state is None else state.record

    def on_tokens(self, request_id: str, token_ids: Sequence[int], now: float) -> None:
        """Take in new tokens of a reply."""
        state = self._live.get(request_id)
        if state is None or state.record is None:
            if (over := self._called_off.get(request_id)) is not None:
                over.tokens_after_cancel += len(token_ids)
            return
        record = state.record
        before = len(record.token_times_s)
        record.token_times_s.extend([now] * len(token_ids))
        state.reply.extend(token_ids)
        wanted = state.session.turns[state.turn].barge_in_tokens
        if wanted is not None and before < wanted <= len(record.token_times_s):
            # Somebody interrupts what they have heard, not what has been made.
            heard_s = self._hearing(state, record.token_times_s[:wanted])[1]
            self._at(max(heard_s, now), "interrupt", state, request_id)

    def on_end(
        self,
        request_id: str,
        now: float,
        *,
        finish: str,
        prompt_tokens: int = 0,
        cached_tokens: int | None = None,
        error_code: str | None = None,
    ) -> None:
        """Take in a reply's terminal event, and plan the session's next turn."""
        state = self._live.pop(request_id, None)
        if state is None or state.record is None:
            return
        record = state.record
        record.ended_s, record.finish, record.error_code = now, finish, error_code
        record.prompt_tokens = prompt_tokens or record.prompt_tokens
        record.cached_tokens = cached_tokens
        state.is_live = False
        if record.cancelled_s is not None:
            self._called_off[request_id] = record
        heard, over_s = self._hearing(state, record.token_times_s)
        wanted = state.session.turns[state.turn].barge_in_tokens
        if record.cancelled_s is not None:
            # The character remembers what was heard, and the interrupter speaks at once.
            heard, over_s = self._hearing(state, record.token_times_s, record.cancelled_s)[0], now
        elif wanted is not None and len(record.token_times_s) > wanted:
            # The reply was there before its listener had enough of it: nothing to cancel.
            heard, over_s = self._hearing(state, record.token_times_s[:wanted])
        del state.reply[heard:]
        state.history += state.reply
        state.turn += 1
        if state.turn < len(state.session.turns) and finish != "error":
            turn = state.session.turns[state.turn]
            begin = now if turn.after == "final" else max(over_s, now)
            due = begin + turn.think_s
            if turn.at_s is not None:
                due = max(due, state.session.start_s + turn.at_s)
            self._at(due, "send", state, "")
        else:
            self._num_open -= 1

    def _send(self, state: _State, time_s: float) -> Send:
        session, index = state.session, state.turn
        turn = session.turns[index]
        if self._vocab_size is not None:
            if index == 0:
                state.history = opening_ids(session, self._vocab_size)
            state.history += turn_ids(session, index, self._vocab_size)
        request_id = f"{session.session_id}/{index}"
        state.record = RequestRecord(
            request_id=request_id,
            session_id=session.session_id,
            turn=index,
            sent_s=time_s,
            tenant=session.tenant,
            priority=session.priority,
            prompt_tokens=len(state.history),
            tokens_per_s=session.tokens_per_s,
            reserve_tokens=session.reserve_tokens,
        )
        state.reply = []
        state.is_live = True
        self.records.append(state.record)
        self._live[request_id] = state
        if turn.barge_in_s is not None:
            self._at(time_s + turn.barge_in_s, "interrupt", state, request_id)
        if self._report_every_s is not None:
            self._at(time_s + self._report_every_s, "report", state, request_id)
        faults = sorted(turn.faults, key=lambda fault: fault.at_s)
        self._faults[request_id] = faults
        for fault in faults:
            self._at(time_s + fault.at_s, "break", state, request_id)
        return Send(request_id, session, list(state.history), index, turn)

    def _report(self, state: _State, request_id: str, time_s: float) -> Heard:
        assert self._report_every_s is not None
        self._at(time_s + self._report_every_s, "report", state, request_id)
        times = state.record.token_times_s if state.record is not None else []
        return Heard(request_id, self._hearing(state, times, time_s)[0])

    def _cancelled(self, request_id: str, time_s: float) -> None:
        record = self._live[request_id].record
        if record is not None and record.cancelled_s is None:
            record.cancelled_s = time_s

    def _hearing(
        self, state: _State, times_s: Sequence[float], now: float = float("inf")
    ) -> tuple[int, float]:
        """Return how many tokens are begun by ``now``, and when the last of all is begun."""
        if not times_s:
            return 0, 0.0
        session = state.session
        turns = session.turns
        following = turns[state.turn + 1] if state.turn + 1 < len(turns) else None
        speed = session.tokens_per_s
        if following is not None and following.after == "spoken":
            speed = min(speed, SPEECH_TOKENS_PER_S)
        reserve = min(session.reserve_tokens, len(times_s))
        heard, over_s = heard_at(times_s, now, speed, reserve_tokens=reserve)
        return heard, over_s - 1.0 / speed

    def _at(self, time_s: float, kind: _Kind, state: _State, request_id: str) -> None:
        heapq.heappush(self._timers, (time_s, next(self._order), kind, state, request_id))
