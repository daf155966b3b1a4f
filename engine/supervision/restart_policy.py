"""When a lost engine is started anew, and when it is given up."""

from __future__ import annotations

from collections import deque

from engine.config import SupervisionConfig

MAX_BACKOFF_S = 30.0
STABLE_S = 10.0
"""An engine that was ready for so long begins a new row of losses."""


class RestartPolicy:
    """Counts losses; a start that failed is one too.

    The first restart is made at once, since a process that dies once is most often well after. In
    a row of losses the next ones wait 1, 2, 4 … times ``backoff_s``.

    Args:
        config: How often, and how long to wait.
    """

    def __init__(self, config: SupervisionConfig) -> None:
        self._config = config
        self._losses: deque[float] = deque()
        self._num_in_a_row = 0
        self._ready_at: float | None = None

    @property
    def num_recent(self) -> int:
        """Losses within the window, as of the last one."""
        return len(self._losses)

    def ready(self, now: float) -> None:
        """Take note that an engine takes requests."""
        self._ready_at = now

    def lost(self, now: float) -> float | None:
        """Take note of a loss, or of a start that failed.

        Args:
            now: Seconds, rising.

        Returns:
            Seconds to wait before the next start; ``None`` when there have been too many.
        """
        was_stable = self._ready_at is not None and now - self._ready_at >= STABLE_S
        self._ready_at = None
        self._num_in_a_row = 1 if was_stable else self._num_in_a_row + 1
        self._losses.append(now)
        while self._losses[0] <= now - self._config.restart_window_s:
            self._losses.popleft()
        if len(self._losses) > self._config.max_restarts:
            return None
        if self._num_in_a_row == 1:
            return 0.0
        doublings = min(self._num_in_a_row - 2, 16)  # far beyond the bound, and no huge number
        return min(MAX_BACKOFF_S, self._config.backoff_s * 2.0**doublings)
