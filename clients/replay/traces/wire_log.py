"""Reads the server's own wire logs (``kaiwa record``): what people did, as a script to be replayed.

A log is JSON lines, the first of which says so. Several may stand behind each other in one text
(``cat wire-logs/*.jsonl``); their sessions then start as far apart as they did.

What becomes a turn is a ``response.create`` (or ``character.trigger``) that the server began to
answer. Greetings, speech unasked, replies told once more and responses outside the conversation
are none. Not in a log, and therefore not in the script: words of replies, and how fast a listener
read.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from clients.replay.script import Fault, ScriptError, Session
from clients.replay.traces.fields import Note, Record, as_record, json_value, shown
from clients.replay.traces.wire_turns import WireTurn, scripted

FORMAT = "kaiwa.wire_log"
VERSION = 1

_HEAD = f'{{"format":"{FORMAT}"'
_ASKS = ("response.create", "character.trigger")
_DELTAS = ("response.output_text.delta", "response.function_call_arguments.delta")


def is_wire_log(first: dict[str, Any]) -> bool:
    """Whether a text whose first line holds this object is a wire log."""
    return first.get("format") == FORMAT


def parse_wire_log(text: str, name: str, note: Note) -> list[Session]:
    """Turn wire logs into sessions, by when they start; the first of all logs began at 0.

    Times become seconds. ``output_tokens`` are those that were made; of a reply that was broken
    off they are its limit, if it had one, because nobody knows how long it would have become.
    ``input_tokens`` is by how much a prompt was longer than the one before and its reply; where
    that says nothing, and of a first turn, an estimate. All that stood before the first is the
    persona's.

    Args:
        text: One log, or several.
        name: What errors call it.
        note: Told nothing.

    Raises:
        ScriptError: It is none, or a line cannot be read; a log's last line that was cut off is
            passed over, because servers are killed.
    """
    logs: list[_Log] = []
    for record in _records(text, name):
        if "format" in record.fields:
            logs.append(_Log.begin(record))
        elif not logs:
            raise ScriptError(
                f"{record.where}: a wire log begins with a line whose format is {FORMAT!r}"
            )
        else:
            logs[-1].take(record)
    if not logs:
        raise ScriptError(f"{name} is empty")
    first = min(log.started for log in logs)
    sessions = [log.session(first) for log in logs if log.turns]
    if not sessions:
        raise ScriptError(f"{name}: nobody asked anything in it")
    return sorted(sessions, key=lambda session: session.start_s)


@dataclass(slots=True, kw_only=True)
class _Log:
    """One session as it is read, line by line."""

    session_id: str
    persona: str
    started: datetime.datetime
    turns: list[WireTurn] = field(default_factory=list)
    _texts: list[str] = field(default_factory=list)  # said since the last question
    _chars: int = 0
    _asked: deque[WireTurn | None] = field(default_factory=deque)  # not begun yet; None is no turn
    _live: dict[str, WireTurn | None] = field(default_factory=dict)  # by response id
    _last_in: str = ""
    _closed: float | None = None

    @classmethod
    def begin(cls, record: Record) -> _Log:
        """Read a first line."""
        fields = record.fields
        if fields["format"] != FORMAT or fields.get("version") != VERSION:
            raise ScriptError(
                f"{record.where}: the format is {shown(fields['format'])}, version "
                f"{shown(fields.get('version'))}; this reads {FORMAT!r}, version {VERSION}"
            )
        try:
            started = datetime.datetime.fromisoformat(record.text("started_at"))
        except ValueError:
            raise ScriptError(
                f"{record.where}: started_at is {shown(fields.get('started_at'))}; it must be a "
                "time such as 2027-01-01T12:00:00.000Z"
            ) from None
        if started.tzinfo is None:
            started = started.replace(tzinfo=datetime.UTC)
        return cls(
            session_id=record.name("session") or record.where,
            persona=record.text("character"),
            started=started,
        )

    def take(self, record: Record) -> None:
        """Take in the next line; what is not known is passed over."""
        kind = record.fields.get("type")
        if not isinstance(kind, str):
            raise ScriptError(f"{record.where}: type is {shown(kind)}; it must be a string")
        ms = record.number("ms")
        if record.fields.get("dir") == "out":
            self._hear(kind, record, ms)
        elif kind == "socket.closed":
            self._closed = ms
        elif kind == "socket.resumed":
            self._come_back(ms)
        else:
            self._say(kind, record, ms)
            self._last_in = kind

    def _say(self, kind: str, record: Record, ms: float) -> None:
        if kind == "conversation.item.create":
            if record.fields.get("again") is not True:
                self._note_words(record)
        elif kind in _ASKS:
            self._ask(record, ms)
        elif kind == "character.greet":
            self._asked.append(None)
        elif kind == "response.cancel":
            self._interrupt(record.fields.get("response_id"), ms)
        elif kind == "conversation.item.truncate" or record.fields.get("state") == "interrupted":
            self._keep(record)

    def _note_words(self, record: Record) -> None:
        self._chars += _whole(record, "chars") or 0
        if words := record.text("text"):
            self._texts.append(words)

    def _ask(self, record: Record, ms: float) -> None:
        if record.fields.get("out_of_band") is True:
            self._asked.append(None)
            return
        if record.fields.get("if_active") == "interrupt":
            self._interrupt(None, ms)
        self._keep(record)
        self._note_words(record)
        limit = _whole(record, "max_output_tokens")
        turn = WireTurn(sent=ms, texts=self._texts, chars=self._chars, limit=limit)
        self._texts, self._chars = [], 0
        self._asked.append(turn)

    def _interrupt(self, response_id: object, ms: float) -> None:
        for live_id, turn in self._live.items():
            if turn is not None and response_id in (None, live_id):
                turn.cancel(ms)

    def _keep(self, record: Record) -> None:
        """The client says how much of the last reply was heard."""
        heard = _whole(record, "text_end")
        if heard is not None and self.turns:
            self.turns[-1].kept_chars = heard

    def _come_back(self, ms: float) -> None:
        closed = ms if self._closed is None else self._closed
        self._closed = None
        if self.turns:
            turn = self.turns[-1]
            at_s, for_s = (closed - turn.sent) / 1e3, (ms - closed) / 1e3
            turn.faults.append(Fault(at_s=max(0.0, at_s), kind="drop", for_s=max(0.0, for_s)))

    def _hear(self, kind: str, record: Record, ms: float) -> None:
        if kind == "error" and self._asked and self._last_in in (*_ASKS, "character.greet"):
            self._take_back(self._asked.pop())
            return
        response_id = record.fields.get("response_id")
        if not isinstance(response_id, str):
            return
        if kind == "response.created":
            self._begin_reply(response_id, record)
        elif (turn := self._live.get(response_id)) is None:
            return
        elif kind in _DELTAS:
            turn.num_chars += _whole(record, "chars") or 0
        elif kind == "response.done":
            del self._live[response_id]
            turn.done = ms
            if record.fields.get("usage") is not None:
                usage = as_record(record.fields["usage"], f"{record.where}, usage")
                turn.prompt_tokens = _whole(usage, "prompt_tokens")
                turn.output_tokens = _whole(usage, "output_tokens")

    def _take_back(self, refused: WireTurn | None) -> None:
        """What was said before a question that was refused is said before the next one."""
        self._last_in = ""
        if refused is not None:
            self._texts = refused.texts + self._texts
            self._chars += refused.chars

    def _begin_reply(self, response_id: str, record: Record) -> None:
        fields = record.fields
        is_asked = fields.get("replayed") is not True and fields.get("out_of_band") is not True
        turn = self._asked.popleft() if self._asked else None
        self._last_in = ""
        if not is_asked:
            turn = None
        self._live[response_id] = turn
        if turn is not None:
            turn.limit = _whole(record, "max_output_tokens") or turn.limit
            self.turns.append(turn)

    def session(self, first: datetime.datetime) -> Session:
        """Make a script of what was read; ``first`` is when the first of all logs began."""
        turns = scripted(self.turns)
        opening = self.turns[0].prompt_tokens or 0
        since_s = (self.started - first).total_seconds()
        return Session(
            session_id=self.session_id,
            start_s=since_s + self.turns[0].sent / 1e3,
            turns=turns,
            persona=self.persona,
            persona_tokens=max(0, opening - turns[0].input_tokens),
        )


def _records(text: str, name: str) -> Iterator[Record]:
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            value = json_value(line, where)
        except ScriptError:
            head = line.rfind(_HEAD)
            if head > 0:  # behind a line that was cut off stands the next log's first
                value = json_value(line[head:], where)
            elif number == len(lines) > 1:
                return
            else:
                raise
        yield as_record(value, where)


def _whole(record: Record, key: str) -> int | None:
    """A whole number, where there is one."""
    return None if record.fields.get(key) is None else record.whole(key)
