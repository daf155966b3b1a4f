"""When a character speaks by itself: after a silence, within limits, and never on and on.

A silence begins when the last words have been played, as far as that is known, and ends with
whatever the user does. After each reply that nobody answered the character waits twice as long, and
after ``MAX_UNANSWERED`` it is quiet until somebody speaks.
"""

from __future__ import annotations

from collections import deque

from server.protocol.character_objects import ProactiveSetting

MAX_UNANSWERED = 3
_HOUR_S = 3600.0

USUAL_INSTRUCTIONS = (
    "Nobody has said anything for a while. Say something short by yourself: go on with what you "
    "talked about, or bring up something new. Do not repeat yourself."
)


class Silence:
    """Watches over one session; times are seconds on the caller's clock."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._num_unanswered = 0
        self._spoken_at: deque[float] = deque()

    def begin(self, now: float) -> None:
        """The last words end at ``now``, which may lie ahead."""
        self._since = now

    def end(self) -> None:
        """Somebody is doing something; nothing is waited for until the next ``begin``."""
        self._since = None

    def answered(self) -> None:
        """The user has spoken."""
        self._num_unanswered = 0
        self._since = None

    def spoke(self, now: float) -> None:
        """The character has begun to speak by itself."""
        self._num_unanswered += 1
        self._since = None
        self._spoken_at.append(now)

    def due_at(self, setting: ProactiveSetting | None) -> float | None:
        """When the character speaks if nothing happens; ``None`` for never."""
        if setting is None or setting.idle_ms is None or self._since is None:
            return None
        if self._num_unanswered >= MAX_UNANSWERED:
            return None
        wait_s = setting.idle_ms / 1000 * (1 << self._num_unanswered)
        due = self._since + wait_s
        while len(self._spoken_at) > setting.max_per_hour:
            self._spoken_at.popleft()
        if len(self._spoken_at) == setting.max_per_hour:
            due = max(due, self._spoken_at[0] + _HOUR_S)
        return due
