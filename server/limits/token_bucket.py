"""A token bucket: so many at once, so many per second for long."""

from __future__ import annotations

import math


class TokenBucket:
    """Fills at a steady rate up to a brim; a level below nothing is a debt that is waited off."""

    __slots__ = ("_last", "_level", "burst", "rate")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        """Start full.

        Args:
            rate: Tokens per second.
            burst: Tokens that a full bucket holds.
            now: Seconds, on the clock of all further ``now``.
        """
        self.rate = rate
        self.burst = float(burst)
        self._level = float(burst)
        self._last = now

    def level(self, now: float) -> float:
        """Tokens that are there; negative where more were taken."""
        self._level = min(self.burst, self._level + max(0.0, now - self._last) * self.rate)
        self._last = max(now, self._last)  # a clock that goes back gives nothing twice
        return self._level

    def take(self, now: float, amount: float = 1.0) -> float:
        """Take tokens, there or not; returns the seconds until the level is no debt any more."""
        self._level = self.level(now) - amount
        return 0.0 if self._level >= 0 else -self._level / self.rate

    def give_back(self, now: float, amount: float) -> None:
        """Put back what was taken and not used."""
        self._level = min(self.burst, self.level(now) + amount)

    def wait_for(self, now: float, amount: float = 1.0) -> float:
        """Seconds until so many are there; infinite where the bucket never holds as many."""
        if amount > self.burst:
            return math.inf
        return max(0.0, amount - self.level(now)) / self.rate

    def full_in(self, now: float) -> float:
        """Seconds until it is full."""
        return (self.burst - self.level(now)) / self.rate
