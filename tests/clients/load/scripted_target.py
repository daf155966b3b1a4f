"""A target in memory that answers as it is told, at exact times of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from clients.load.line import LineListener, ReplyEnd
from clients.replay.script import Fault, Session, Turn


@dataclass(frozen=True, slots=True)
class Reply:
    """How one question is answered.

    Attributes:
        pieces: Seconds after the question, and the text.
        end_s: When the end comes, likewise.
        num_tokens: As the target counts them.
        error_code: Ends with this error.
    """

    pieces: tuple[tuple[float, str], ...] = ((0.1, "one "), (0.2, "two "))
    end_s: float = 0.25
    num_tokens: int | None = None
    error_code: str | None = None


@dataclass
class ScriptedTarget:
    """Answers every question by a function of session and turn; keeps notes."""

    reply: Callable[[str, int], Reply] = lambda session_id, index: Reply()
    opened: list[tuple[float, str, str]] = field(default_factory=list)
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    cancelled: list[tuple[float, str]] = field(default_factory=list)
    reported: list[tuple[float, int]] = field(default_factory=list)
    broken: list[tuple[float, Fault]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def open(self, session: Session, persona: str, listener: LineListener) -> ScriptedLine:
        """Note when."""
        self.opened.append((asyncio.get_running_loop().time(), session.session_id, persona))
        return ScriptedLine(self, session.session_id, listener)


class ScriptedLine:
    """One session."""

    def __init__(self, target: ScriptedTarget, session_id: str, listener: LineListener) -> None:
        self._target = target
        self._session_id = session_id
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._index = 0
        self._timers: list[asyncio.TimerHandle] = []

    def ask(self, turn: Turn, text: str) -> None:
        """Answer later."""
        self._target.asked.append((self._loop.time(), self._session_id, text))
        reply = self._target.reply(self._session_id, self._index)
        self._index += 1
        later = self._loop.call_later
        self._timers = [later(at, self._listener.on_text, text) for at, text in reply.pieces]
        self._timers.append(later(reply.end_s, self._end, reply))

    def _end(self, reply: Reply) -> None:
        end = ReplyEnd(
            finish="length" if reply.error_code is None else "error",
            error_code=reply.error_code,
            output_tokens=reply.num_tokens,
        )
        self._listener.on_end(end)

    def cancel(self) -> None:
        """Obey after a tenth of a second."""
        self._target.cancelled.append((self._loop.time(), self._session_id))
        for timer in self._timers:
            timer.cancel()
        self._loop.call_later(0.1, self._listener.on_end, ReplyEnd(finish="abort"))

    def report(self, num_chars: int) -> None:
        """Note it."""
        self._target.reported.append((self._loop.time(), num_chars))

    def fail(self, fault: Fault) -> None:
        """Note it."""
        self._target.broken.append((self._loop.time(), fault))

    async def close(self) -> None:
        """Note it."""
        for timer in self._timers:
            timer.cancel()
        self._target.closed.append(self._session_id)
