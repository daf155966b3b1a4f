"""Requests for replies that wait for the reply before them (``if_active: "queue"``)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from server.errors import LimitExceeded
from server.protocol.objects import ResponseParams

MAX_WAITING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A reply that somebody wants.

    Attributes:
        params: What was asked for.
        reason: Why: ``asked``, ``trigger`` or ``proactive``.
        note: What the model is told right before it, for good; empty for nothing.
        event_id: The client's name for the event that asked.
    """

    params: ResponseParams
    reason: str = "asked"
    note: str = ""
    event_id: str | None = None


class WaitingLine:
    """First come, first served, and bounded."""

    def __init__(self) -> None:
        self._waiting: deque[Wanted] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Wanted]:
        return iter(self._waiting)

    def join(self, wanted: Wanted) -> int:
        """Stand at the end; returns the position, 1 for the next.

        Raises:
            LimitExceeded: The line is full.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise LimitExceeded(
                "the number of replies that wait",
                len(self._waiting) + 1,
                MAX_WAITING,
                "wait for a response.done, or send response.cancel",
                param="response.if_active",
            )
        self._waiting.append(wanted)
        return len(self._waiting)

    def next(self) -> Wanted | None:
        """Whose turn it is; ``None`` when nobody waits."""
        return self._waiting.popleft() if self._waiting else None

    def clear(self) -> list[Wanted]:
        """Send everybody home; returns them in order."""
        gone = list(self._waiting)
        self._waiting.clear()
        return gone
