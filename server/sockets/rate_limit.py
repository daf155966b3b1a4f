"""A token bucket: so many at once, so many per second for long."""

from __future__ import annotations


class TokenBucket:
    """Says how long to wait before the next one is within the rate."""

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        """Start full.

        Args:
            rate: Tokens per second.
            burst: Tokens that a full bucket holds.
            now: Seconds, on the clock of all further ``now``.
        """
        self._rate = rate
        self._burst = float(burst)
        self._level = float(burst)
        self._last = now

    def take(self, now: float) -> float:
        """Take one token; returns the seconds to wait for it, 0 when there is one."""
        self._level = min(self._burst, self._level + max(0.0, now - self._last) * self._rate)
        self._last = now
        self._level -= 1.0
        return 0.0 if self._level >= 0 else -self._level / self._rate
