"""Whether an engine that says nothing is at work, or hangs.

An engine that is idle, or loads, says once a second that it lives. One that steps sends a frame
with each step, and nothing while it computes: there the limit is what a step may take. Silence is
counted in looks, and a look that comes late counts little: when it is this process that stood
still, nobody could have been heard.
"""

from __future__ import annotations

from collections import deque

from engine.config import SupervisionConfig

LOOK_EVERY_S = 0.5
SLOW_STEPS = 5.0
"""So many times the longest step of late is no step any more."""
FIRST_STEP_FACTOR = 4.0
"""A first step may compile or capture what later ones use."""
_KEPT_STEPS = 256


class Watchdog:
    """Watches one engine process, from its being ready on.

    Args:
        config: The limits.
        full_step_s: Seconds that the largest step is thought to take.
    """

    def __init__(self, config: SupervisionConfig, *, full_step_s: float = 0.0) -> None:
        self._config = config
        self._full_step_s = full_step_s
        self._steps: deque[float] = deque(maxlen=_KEPT_STEPS)
        self._num_heard = -1
        self._looked_at: float | None = None
        self._silent_s = 0.0

    def stepped(self, duration_s: float) -> None:
        """Take note of a step that was computed."""
        self._steps.append(duration_s)

    @property
    def step_limit_s(self) -> float:
        """Seconds of silence that a step may explain."""
        slowest = max(self._full_step_s, max(self._steps, default=0.0))
        limit = max(self._config.step_timeout_s, SLOW_STEPS * slowest)
        return limit if self._steps else FIRST_STEP_FACTOR * limit

    def look(self, now: float, num_heard: int, *, is_idle: bool) -> str | None:
        """Look whether anything was heard; to be called every ``LOOK_EVERY_S``.

        Args:
            now: Seconds, rising.
            num_heard: Messages that the engine has sent so far.
            is_idle: The last of them said that it is idle, and nothing was sent to it since.

        Returns:
            Why it hangs, in a sentence; ``None`` as long as it may not.
        """
        limit = self._config.heartbeat_timeout_s if is_idle else self.step_limit_s
        doing = "an idle engine" if is_idle else "the engine"
        return self._judge(now, num_heard, limit, doing)

    def look_at_start(self, now: float, num_heard: int) -> str | None:
        """The same while it loads; what that holds up does so for longer than any step.

        Args:
            now: Seconds, rising.
            num_heard: Messages that the engine has sent so far.
        """
        limit = max(self.step_limit_s, FIRST_STEP_FACTOR * self._config.heartbeat_timeout_s)
        return self._judge(now, num_heard, limit, "the engine, while it was loading,")

    def _judge(self, now: float, num_heard: int, limit: float, doing: str) -> str | None:
        passed = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        if num_heard != self._num_heard:
            self._num_heard = num_heard
            self._silent_s = 0.0
            return None
        self._silent_s += min(passed, 2 * LOOK_EVERY_S)
        if self._silent_s <= limit:
            return None
        return f"{doing} said nothing for {self._silent_s:.1f} s, at most {limit:.1f} s are allowed"
