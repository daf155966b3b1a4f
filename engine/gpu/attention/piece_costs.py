"""What pieces of attention cost: whether a common beginning is better read together or apart.

Read together, its keys are read once, by a tile that is larger and takes longer; read apart, every
sequence reads them again, from the device's cache if not from its memory, by as many small tiles,
which keep more of the device busy. For two listeners the latter may win, for twenty it does not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PieceCosts:
    """A simple machine: so many programs at a time, each as long as its tile takes.

    Attributes:
        small_s: Seconds of a program of the small tile, with all places taken.
        large_s: Likewise of the large one.
        places: Programs that run at a time.
    """

    small_s: float
    large_s: float
    places: int

    def seconds(self, small: int, large: int) -> float:
        """Return how long so many programs of each kind take.

        The larger of two bounds: the work shared evenly by all places, and the longest program.
        """
        longest = self.large_s if large else self.small_s if small else 0.0
        return max((small * self.small_s + large * self.large_s) / self.places, longest)
