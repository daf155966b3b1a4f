"""Many values as a few numbers.

Percentiles interpolate linearly between the two nearest ranks and the deviation is that of a
population, both as numpy has them by default, and with it ``vllm bench serve`` and aiperf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PERCENTS = (50.0, 90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Distribution:
    """One quantity, in the unit of its values.

    Attributes:
        count: How many values there were; with none, everything else is not a number.
        mean: Their arithmetic mean.
        std: Their standard deviation, ``sqrt(mean((x - mean)²))``.
        lowest: The least of them.
        highest: The greatest of them.
        percentiles: By percent, for each of ``PERCENTS``.
    """

    count: int = 0
    mean: float = math.nan
    std: float = math.nan
    lowest: float = math.nan
    highest: float = math.nan
    percentiles: dict[float, float] = field(default_factory=dict)

    def at(self, percent: float) -> float:
        """Return one of ``PERCENTS``; not a number when there was nothing to measure."""
        return self.percentiles.get(percent, math.nan)


def distribution(values: Iterable[float | None]) -> Distribution:
    """Return the distribution of some values; ``None`` stands for nothing and is left out."""
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return Distribution()
    mean = math.fsum(ordered) / len(ordered)
    return Distribution(
        count=len(ordered),
        mean=mean,
        std=math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / len(ordered)),
        lowest=ordered[0],
        highest=ordered[-1],
        percentiles={percent: percentile(ordered, percent) for percent in PERCENTS},
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of values in rising order, at least one."""
    place = (len(ordered) - 1) * percent / 100.0
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
