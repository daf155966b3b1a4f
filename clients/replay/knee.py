"""Where a target stops keeping up with what it is offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clients.replay.sweep import KEPT_SHARE

_LEAST_RISE = 0.05


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One run of a sweep.

    Attributes:
        offered_per_s: Requests per second that were offered.
        goodput_per_s: Replies per second that kept their targets.
        goodput_share: Such replies among all requests, from 0 to 1.
    """

    offered_per_s: float
    goodput_per_s: float
    goodput_share: float


@dataclass(frozen=True, slots=True)
class Knee:
    """Two answers to the same question; each ``None`` where the points do not tell.

    Attributes:
        kept_per_s: The highest offered rate up to which the share of good replies stays at or
            above the least that is allowed.
        bend_per_s: The offered rate at which goodput lies farthest above the straight line from
            the first point to the last.
    """

    kept_per_s: float | None
    bend_per_s: float | None


def knee(points: Sequence[RatePoint], *, least_share: float = KEPT_SHARE) -> Knee:
    """Find the knee of a sweep.

    The bend is the point of maximum distance of the curve that is scaled to the unit square, as
    in Satopää et al., "Finding a 'Kneedle' in a Haystack", ICDCS Workshops 2011, without their
    smoothing: a sweep has few points, and each was measured.

    Args:
        points: In any order; those of one offered rate count together, by their mean.
        least_share: Of good replies, from 0 to 1.
    """
    rates = sorted({point.offered_per_s for point in points})
    kept, goodput = None, []
    stays = True
    for rate in rates:
        same = [point for point in points if point.offered_per_s == rate]
        goodput.append(sum(point.goodput_per_s for point in same) / len(same))
        stays = stays and sum(point.goodput_share for point in same) / len(same) >= least_share
        if stays:
            kept = rate
    return Knee(kept, _bend(rates, goodput))


def _bend(rates: Sequence[float], goodput: Sequence[float]) -> float | None:
    if len(rates) < 3:
        return None
    height = max(goodput) - min(goodput)
    if height <= _LEAST_RISE * max(goodput):
        return None  # level all along, perhaps at 0: whatever bends is noise
    span = rates[-1] - rates[0]
    slope = (goodput[-1] - goodput[0]) / height
    above = [
        (good - goodput[0]) / height - slope * (rate - rates[0]) / span
        for rate, good in zip(rates, goodput, strict=True)
    ]
    farthest = max(above)
    return rates[above.index(farthest)] if farthest > 1e-9 else None
