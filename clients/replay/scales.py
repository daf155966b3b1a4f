"""Axes of a chart: where a value lies, which round values are written beside it, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass

_LEAST_LOG = 1e-4


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis.

    Attributes:
        least: The value at ``begin``.
        most: The value at ``end``; above ``least``.
        begin: Where it begins, in the units of the drawing.
        end: Where it ends.
        log: Whether equal distances are equal factors; ``least`` is then above 0.
    """

    least: float
    most: float
    begin: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, least: float, most: float, begin: float, end: float, *, log: bool) -> Scale:
        """Make an axis that holds these values; one that is linear holds 0 as well."""
        if log:
            least = max(least, _LEAST_LOG)
            return cls(least, max(most, least * 1.001), begin, end, log)
        least = min(0.0, least)
        return cls(least, max(most, least + 1e-9), begin, end)

    def place(self, value: float) -> float:
        """Return where a value lies; on a logarithmic axis small ones lie at its begin."""
        if self.log:
            share = math.log(max(value, self.least) / self.least) / math.log(self.most / self.least)
        else:
            share = (value - self.least) / (self.most - self.least)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Return round values on the axis, at most eight or so."""
        if not self.log:
            return [self.least + tick for tick in _steps(self.most - self.least)]
        first, last = math.floor(math.log10(self.least)), math.ceil(math.log10(self.most))
        factors = (1.0, 2.0, 5.0) if last - first <= 2 else (1.0,)
        values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        found = [value for value in values if self.least <= value <= self.most]
        return found if len(found) > 1 else self._close_ticks()

    def _close_ticks(self) -> list[float]:
        """Return round values at equal distances, for an axis of less than a factor or so."""
        if self.most < 1.01 * self.least:
            return [self.least]
        step = round_step(self.most - self.least, 5)
        first, last = math.ceil(self.least / step), math.floor(self.most / step)
        return [number * step for number in range(first, last + 1)]


def written(value: float) -> str:
    """Return a number as an axis says it."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def round_step(span: float, most: int) -> float:
    """Return the smallest of 1, 2, 5, 10, … that divides a span into at most ``most`` parts."""
    step = 10.0 ** math.floor(math.log10(max(span, 1e-9) / most))
    for factor in (1, 2, 5):
        if span / (step * factor) <= most:
            return step * factor
    return step * 10


def _steps(most: float) -> list[float]:
    """Return round values from 0 to ``most``, four to eight of them."""
    if most <= 0:
        return [0.0]
    step = round_step(most, 7)
    return [number * step for number in range(int(most / step + 1e-9) + 1)]
