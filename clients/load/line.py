"""What a driver needs of a target, and what it tells the driver: one line for each listener.

A line is opened before its session's first turn and asked one thing at a time. All methods return
at once; whatever takes time happens in tasks of the line, and its news comes by the listener.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from clients.replay.script import Fault, Session, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyEnd:
    """How a reply was over.

    Attributes:
        finish: ``stop``, ``length``, ``abort`` or ``error``.
        error_code: For ``error``.
        prompt_tokens: As the target counts them; 0 where it does not.
        cached_tokens: Likewise; ``None`` where it does not.
        output_tokens: Likewise; ``None`` where it does not.
        server_ms: The target's own timings.
        text_differs: Whether the pieces were not the text that the end stated.
    """

    finish: str
    error_code: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    output_tokens: int | None = None
    server_ms: dict[str, float] = field(default_factory=dict)
    text_differs: bool = False


class LineListener(Protocol):
    """Hears of one session's replies, on the event loop, in order."""

    def on_text(self, text: str) -> None:
        """A piece of the reply that runs."""
        ...

    def on_first_segment(self) -> None:
        """The first piece that a voice could speak is whole."""
        ...

    def on_end(self, end: ReplyEnd) -> None:
        """The reply that ran is over."""
        ...

    def on_resumed(self) -> None:
        """The line came back over another connection."""
        ...

    def on_disorder(self, *, num_gaps: int = 0, num_duplicates: int = 0) -> None:
        """Numbered events were missing, or came twice."""
        ...


class Line(Protocol):
    """One listener's conversation with the target."""

    def ask(self, turn: Turn, text: str) -> None:
        """Send a turn; waits inside until the line is open."""
        ...

    def cancel(self) -> None:
        """Call the reply off that runs."""
        ...

    def report(self, num_chars: int) -> None:
        """Tell how far the reply has been heard, where the target wants to know."""
        ...

    def fail(self, fault: Fault) -> None:
        """Let something go wrong."""
        ...

    async def close(self) -> None:
        """Let go of the connection; nothing is told any more."""
        ...


class Target(Protocol):
    """A server under load."""

    def open(self, session: Session, persona: str, listener: LineListener) -> Line:
        """Begin a session's line.

        Args:
            session: Whose.
            persona: The system prompt; empty for none.
            listener: Hears of its replies.
        """
        ...


class UnreadyTarget(Exception):
    """The target cannot be used at all; the message says why and what to do."""
