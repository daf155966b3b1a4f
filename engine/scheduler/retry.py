"""When somebody who found the queue full should come back."""

from __future__ import annotations

from collections import deque

WINDOW = 32
MIN_S = 1.0
MAX_S = 60.0


class RetryAdvice:
    """Watches how fast the queue moves."""

    def __init__(self) -> None:
        self._joined: deque[float] = deque(maxlen=WINDOW)

    def joined(self, now: float) -> None:
        """Somebody has left the queue for the batch."""
        self._joined.append(now)

    def after(self, num_queued: int) -> float:
        """Return seconds after which half of a queue of this length should have moved on."""
        if len(self._joined) < 2 or self._joined[-1] <= self._joined[0]:
            return MIN_S
        per_request_s = (self._joined[-1] - self._joined[0]) / (len(self._joined) - 1)
        return min(max(MIN_S, per_request_s * num_queued / 2), MAX_S)
