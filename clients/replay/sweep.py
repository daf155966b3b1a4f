"""Looks for the highest rate that a server can take: doubles it until it fails, then halves in.

A rate is *kept* when enough of its requests were good. The knee lies between the highest rate that
was kept and the lowest that was not.
"""

from __future__ import annotations

import math

KEPT_SHARE = 0.95
"""Share of good requests from which on a rate counts as kept."""
_MAX_DOUBLINGS = 12


class Sweep:
    """One search.

    Attributes:
        kept: The highest rate that was kept; 0 before any was.
        failed: The lowest that was not; ``None`` before any was not.
    """

    def __init__(self, first_rate: float, *, precision: float = 0.15, max_runs: int = 10) -> None:
        """Begin.

        Args:
            first_rate: Requests or sessions per second.
            precision: Ends when the two rates are so near each other, as a share.
            max_runs: Ends after so many at the latest.
        """
        self._next: float | None = first_rate
        self._precision = precision
        self._left = max_runs
        self._doublings = 0
        self.kept = 0.0
        self.failed: float | None = None

    def next_rate(self) -> float | None:
        """What to try next; ``None`` when the search is over."""
        return self._next

    def add(self, rate: float, good_share: float) -> None:
        """Take in how a rate went."""
        self._left -= 1
        if good_share >= KEPT_SHARE:
            self.kept = max(self.kept, rate)
        elif self.failed is None or rate < self.failed:
            self.failed = rate
        self._next = self._choose(rate)

    def verdict(self) -> str:
        """Say in a sentence what was found."""
        if self.failed is None:
            return f"{self.kept:.3g} a second are kept, and no rate was tried that is not"
        if not self.kept:
            return f"no rate that was tried is kept, the lowest was {self.failed:.3g} a second"
        return f"{self.kept:.3g} a second are kept, {self.failed:.3g} are not"

    def _choose(self, rate: float) -> float | None:
        if self._left <= 0:
            return None
        if self.failed is None:
            self._doublings += 1
            return None if self._doublings > _MAX_DOUBLINGS else 2 * rate
        if not self.kept:
            self._doublings += 1
            return None if self._doublings > _MAX_DOUBLINGS else self.failed / 2
        if self.failed <= self.kept * (1 + self._precision):
            return None
        return math.sqrt(self.kept * self.failed)
