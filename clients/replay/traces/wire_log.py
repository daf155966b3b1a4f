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
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from clients.replay.script import Fault, ScriptError, Session, Turn

FORMAT = "kaiwa.wire_log"
VERSION = 1

_CHARACTERS_PER_TOKEN = 4
_ASKS = ("response.create", "character.trigger")
_DELTAS = ("response.output_text.delta", "response.function_call_arguments.delta")


def is_wire_log(first: dict[str, Any]) -> bool:
    """Whether a text whose first line holds this object is a wire log."""
    return first.get("format") == FORMAT


def parse_wire_log(text: str, name: str) -> list[Session]:
    """Turn wire logs into sessions, by when they start; the first of all logs began at 0.

    Times become seconds. ``output_tokens`` are those that were made; of a reply that was broken
    off they are its limit, if it had one, because nobody knows how long it would have become.
    ``barge_in_tokens`` are those that the server had handed to the socket when the interruption
    came, by their share of the reply's characters. ``input_tokens`` is by how much a prompt was
    longer than the one before and its reply; where that says nothing, and of a first turn, a
    quarter of the characters. All that stood before the first is the persona's.

    Args:
        text: One log, or several.
        name: What errors call it.

    Raises:
        ScriptError: It is none, or a line cannot be read; a last line that was cut off is passed
            over, because servers are killed.
    """
    logs: list[_Log] = []
    for where, record in _records(text, name):
        if "format" in record:
            logs.append(_Log.begin(record, where))
        elif not logs:
            raise ScriptError(f"{where}: a wire log begins with a line whose format is {FORMAT!r}")
        else:
            logs[-1].take(record, where)
    if not logs:
        raise ScriptError(f"{name} is empty")
    first = min(log.started for log in logs)
    sessions = [log.session(first) for log in logs if log.turns]
    if not sessions:
        raise ScriptError(f"{name}: nobody asked anything in it")
    return sorted(sessions, key=lambda session: session.start_s)


@dataclass(slots=True, kw_only=True)
class _Turn:
    """A question and what became of it; times in milliseconds of the log."""

    sent: float
    texts: list[str]
    chars: int
    limit: int | None = None
    num_chars: int = 0  # of the reply's deltas
    chars_at_cancel: int | None = None
    cancelled: float | None = None
    kept_chars: int | None = None
    done: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    faults: list[Fault] = field(default_factory=list)

    def cancel(self, ms: float) -> None:
        """Its listener speaks over it."""
        if self.done is None and self.cancelled is None:
            self.cancelled, self.chars_at_cancel = ms, self.num_chars

    def tokens_of(self, chars: int) -> int:
        """About how many tokens so many characters of the reply are."""
        if self.output_tokens and self.num_chars:
            return min(self.output_tokens, round(self.output_tokens * chars / self.num_chars))
        return chars // _CHARACTERS_PER_TOKEN


@dataclass(slots=True, kw_only=True)
class _Log:
    """One session as it is read, line by line."""

    session_id: str
    persona: str
    started: datetime.datetime
    turns: list[_Turn] = field(default_factory=list)
    _texts: list[str] = field(default_factory=list)  # said since the last question
    _chars: int = 0
    _asked: deque[_Turn | None] = field(default_factory=deque)  # not begun yet; None is no turn
    _live: dict[str, _Turn | None] = field(default_factory=dict)  # by response id
    _last_in: str = ""
    _closed: float | None = None

    @classmethod
    def begin(cls, record: dict[str, Any], where: str) -> _Log:
        """Read a first line."""
        if record["format"] != FORMAT or record.get("version") != VERSION:
            raise ScriptError(
                f"{where}: the format is {_shown(record['format'])}, version "
                f"{_shown(record.get('version'))}; this reads {FORMAT!r}, version {VERSION}"
            )
        try:
            started = datetime.datetime.fromisoformat(str(record.get("started_at")))
        except ValueError:
            raise ScriptError(
                f"{where}: started_at is {_shown(record.get('started_at'))}; it must be a time "
                "such as 2027-01-01T12:00:00.000Z"
            ) from None
        if started.tzinfo is None:
            started = started.replace(tzinfo=datetime.UTC)
        return cls(
            session_id=str(record.get("session") or where),
            persona=str(record.get("character") or ""),
            started=started,
        )

    def take(self, record: dict[str, Any], where: str) -> None:
        """Take in the next line; what is not known is passed over."""
        kind = record.get("type")
        if not isinstance(kind, str):
            raise ScriptError(f"{where}: type is {_shown(kind)}; it must be a text")
        ms = _number(record, "ms", where)
        if record.get("dir") == "out":
            self._hear(kind, record, ms, where)
        elif kind == "socket.closed":
            self._closed = ms
        elif kind == "socket.resumed":
            self._come_back(ms)
        else:
            self._say(kind, record, ms, where)
            self._last_in = kind

    def _say(self, kind: str, record: dict[str, Any], ms: float, where: str) -> None:
        if kind == "conversation.item.create":
            self._note_words(record, where)
        elif kind in _ASKS:
            self._ask(record, ms, where)
        elif kind == "character.greet":
            self._asked.append(None)
        elif kind == "response.cancel":
            self._interrupt(record.get("response_id"), ms)
        elif kind == "conversation.item.truncate" or record.get("state") == "interrupted":
            self._keep(record, where)

    def _note_words(self, record: dict[str, Any], where: str) -> None:
        self._chars += _whole(record, "chars", where) or 0
        if isinstance(words := record.get("text"), str) and words:
            self._texts.append(words)

    def _ask(self, record: dict[str, Any], ms: float, where: str) -> None:
        if record.get("out_of_band") is True:
            self._asked.append(None)
            return
        if record.get("if_active") == "interrupt":
            self._interrupt(None, ms)
        self._keep(record, where)
        self._note_words(record, where)
        limit = _whole(record, "max_output_tokens", where)
        turn = _Turn(sent=ms, texts=self._texts, chars=self._chars, limit=limit)
        self._texts, self._chars = [], 0
        self._asked.append(turn)

    def _interrupt(self, response_id: object, ms: float) -> None:
        for live_id, turn in self._live.items():
            if turn is not None and response_id in (None, live_id):
                turn.cancel(ms)

    def _keep(self, record: dict[str, Any], where: str) -> None:
        """The client says how much of the last reply was heard."""
        heard = _whole(record, "text_end", where)
        if heard is not None and self.turns:
            self.turns[-1].kept_chars = heard

    def _come_back(self, ms: float) -> None:
        closed = ms if self._closed is None else self._closed
        self._closed = None
        if self.turns:
            turn = self.turns[-1]
            at_s, for_s = (closed - turn.sent) / 1e3, (ms - closed) / 1e3
            turn.faults.append(Fault(at_s=max(0.0, at_s), kind="drop", for_s=max(0.0, for_s)))

    def _hear(self, kind: str, record: dict[str, Any], ms: float, where: str) -> None:
        if kind == "error" and self._asked and self._last_in in (*_ASKS, "character.greet"):
            self._take_back(self._asked.pop())
            return
        response_id = record.get("response_id")
        if not isinstance(response_id, str):
            return
        if kind == "response.created":
            self._begin_reply(response_id, record, where)
        elif (turn := self._live.get(response_id)) is None:
            return
        elif kind in _DELTAS:
            turn.num_chars += _whole(record, "chars", where) or 0
        elif kind == "response.done":
            del self._live[response_id]
            turn.done = ms
            usage = record.get("usage")
            if isinstance(usage, dict):
                turn.prompt_tokens = _whole(usage, "prompt_tokens", where)
                turn.output_tokens = _whole(usage, "output_tokens", where)

    def _take_back(self, refused: _Turn | None) -> None:
        """What was said before a question that was refused is said before the next one."""
        self._last_in = ""
        if refused is not None:
            self._texts = refused.texts + self._texts
            self._chars += refused.chars

    def _begin_reply(self, response_id: str, record: dict[str, Any], where: str) -> None:
        is_asked = record.get("replayed") is not True and record.get("out_of_band") is not True
        turn = self._asked.popleft() if self._asked else None
        self._last_in = ""
        if not is_asked:
            turn = None
        self._live[response_id] = turn
        if turn is not None:
            turn.limit = _whole(record, "max_output_tokens", where) or turn.limit
            self.turns.append(turn)

    def session(self, first: datetime.datetime) -> Session:
        """Make a script of what was read; ``first`` is when the first of all logs began."""
        scripted: list[Turn] = []
        before: _Turn | None = None
        length: int | None = None  # of the last prompt and what is kept of its reply
        for turn in self.turns:
            new = 0 if length is None else (turn.prompt_tokens or 0) - length
            scripted.append(_scripted(turn, before, new))
            before, length = turn, _length_behind(turn)
        opening = self.turns[0].prompt_tokens or 0
        since_s = (self.started - first).total_seconds()
        return Session(
            session_id=self.session_id,
            start_s=since_s + self.turns[0].sent / 1e3,
            turns=scripted,
            persona=self.persona,
            persona_tokens=max(0, opening - scripted[0].input_tokens),
        )


def _scripted(turn: _Turn, before: _Turn | None, new: int) -> Turn:
    """One turn; ``new`` are the tokens that it added to the prompt, where that is above 0."""
    think = 0.0 if before is None or before.done is None else turn.sent - before.done
    is_cut = turn.cancelled is not None
    heard = turn.tokens_of(turn.chars_at_cancel) if turn.chars_at_cancel else None
    barge_in_s = None
    if turn.cancelled is not None and not heard:
        barge_in_s = (turn.cancelled - turn.sent) / 1e3
    return Turn(
        input_tokens=new if new > 0 else max(1, turn.chars // _CHARACTERS_PER_TOKEN),
        output_tokens=turn.limit if is_cut else turn.output_tokens or None,
        text="\n".join(turn.texts),
        think_s=max(0.0, think) / 1e3,
        after="final",
        barge_in_tokens=heard or None,
        barge_in_s=barge_in_s,
        faults=tuple(turn.faults),
    )


def _length_behind(turn: _Turn) -> int | None:
    """Tokens that the conversation has after a turn; ``None`` where the log does not say."""
    if not turn.prompt_tokens:
        return None
    kept = turn.output_tokens or 0
    if turn.kept_chars is not None:
        kept = turn.tokens_of(turn.kept_chars)
    return turn.prompt_tokens + kept


def _records(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines) > 1:
                return
            raise ScriptError(f"{where}: no JSON ({error})") from None
        if not isinstance(record, dict):
            raise ScriptError(f"{where}: it must be an object")
        yield where, record


def _number(record: dict[str, Any], key: str, where: str) -> float:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise ScriptError(f"{where}: {key} is {_shown(value)}; it must be a number from 0 on")
    return float(value)


def _whole(record: dict[str, Any], key: str, where: str) -> int | None:
    """A whole number, where there is one."""
    if key not in record:
        return None
    value = _number(record, key, where)
    if not value.is_integer():
        raise ScriptError(f"{where}: {key} is {_shown(value)}; it must be a whole number")
    return int(value)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:40]}…"
