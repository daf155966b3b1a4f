"""How sure a difference between two runs is: the percentile bootstrap over sessions.

Requests of one session hang together: a long conversation is long in all of its turns. So whole
sessions are drawn with replacement, never requests or tokens. Source: Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapters 8 and 13.

Few sessions vary less when drawn again than they would when held anew. The interval is therefore
expanded as Hesterberg does it ("What Teachers Should Know About the Bootstrap", The American
Statistician 69, 2015, section 5.3): as much wider as Student's interval of a mean is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
CONFIDENCE = 0.95
LEAST_SESSIONS = 6
"""In each run, for an interval: five coins fall alike more often than ``1 - CONFIDENCE``."""
_DRAWN_AT_ONCE = 2_000_000
_MOST_CELLS = 20_000_000

Counts = NDArray[np.int64]
"""How often each session was drawn: ``[resamples, sessions]``."""
Statistic = Callable[[Counts], NDArray[np.float64]]
"""From counts to the value in each resample: ``[resamples]``; not a number where there is none."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure of two runs.

    Attributes:
        before: Of the first run.
        after: Of the second.
        floor: A change is relative to the first run's value, or to this where that is less: from
            nothing, any rise would be without bounds.
    """

    before: Statistic
    after: Statistic
    floor: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one figure; not a number where it could not be measured.

    Attributes:
        before: Value in the first run.
        after: Value in the second.
        relative: ``(after - before) / before``.
        low: Where the confidence interval of ``relative`` begins.
        high: Where it ends. With fewer than ``LEAST_SESSIONS`` in a run there is none.
    """

    before: float
    after: float
    relative: float
    low: float
    high: float


def percentile_of(values: Sequence[float], sessions: Sequence[int], percent: float) -> Statistic:
    """Return a percentile of values, interpolated between the two nearest ranks as numpy does.

    Args:
        values: What was measured.
        sessions: Whose each value is, from 0.
        percent: From 0 to 100.
    """
    if not values:
        return lambda counts: np.full(len(counts), math.nan)
    order = np.argsort(np.asarray(values, dtype=np.float64), kind="stable")
    ordered = np.asarray(values, dtype=np.float64)[order]
    owners = np.asarray(sessions, dtype=np.int64)[order]
    # Values lie in blocks, of which a product tells how full each is; then one block is looked at.
    num_owners = int(owners.max()) + 1
    num_blocks = max(1, min(math.isqrt(len(ordered)), _MOST_CELLS // num_owners))
    size = math.ceil(len(ordered) / num_blocks)
    blocks = np.zeros((num_owners, math.ceil(len(ordered) / size)), dtype=np.float32)
    np.add.at(blocks, (owners, np.arange(len(ordered)) // size), 1)

    def value_at(row: NDArray[np.int64], upto: NDArray[np.int64], rank: int) -> float:
        block = int(np.searchsorted(upto, rank, side="right"))
        begin = block * size
        before = int(upto[block - 1]) if block else 0
        within = np.cumsum(row[owners[begin : begin + size]])
        return float(ordered[begin + int(np.searchsorted(within, rank - before, side="right"))])

    def statistic(counts: Counts) -> NDArray[np.float64]:
        filled = counts[:, :num_owners].astype(np.float32) @ blocks
        upto = np.cumsum(filled.astype(np.int64), axis=1)
        found = np.full(len(counts), math.nan)
        for number, total in enumerate(upto[:, -1]):
            if total:
                rank = (int(total) - 1) * percent / 100.0
                low = int(rank)
                first = value_at(counts[number], upto[number], low)
                second = value_at(counts[number], upto[number], min(low + 1, int(total) - 1))
                found[number] = first + (second - first) * (rank - low)
        return found

    return statistic


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Statistic:
    """Return a sum over sessions, divided by another such sum.

    Args:
        above: Each session's part.
        below: Each session's part.
    """
    numerators = np.asarray(above, dtype=np.float64)
    denominators = np.asarray(below, dtype=np.float64)

    def statistic(counts: Counts) -> NDArray[np.float64]:
        return _divided(counts @ numerators, counts @ denominators)

    return statistic


def rate_of(above: Sequence[float], begins: Sequence[float], ends: Sequence[float]) -> Statistic:
    """Return a sum over sessions per unit of the time that they took together.

    Args:
        above: Each session's part.
        begins: When each session began.
        ends: When it ended; a resample lasts from its first begin to its last end, so that a run
            whose length hangs on a few late sessions is known to be uncertain.
    """
    numerators = np.asarray(above, dtype=np.float64)
    first, last = np.asarray(begins, dtype=np.float64), np.asarray(ends, dtype=np.float64)

    def statistic(counts: Counts) -> NDArray[np.float64]:
        drawn = counts > 0
        until = np.where(drawn, last, -math.inf).max(axis=1, initial=-math.inf)
        since = np.where(drawn, first, math.inf).min(axis=1, initial=math.inf)
        return _divided(counts @ numerators, until - since)

    return statistic


def changes(
    quantities: Sequence[Quantity],
    num_before: int,
    num_after: int,
    *,
    paired: bool,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[Change]:
    """Measure what changed, and how sure that is.

    Args:
        quantities: Figures of the two runs.
        num_before: Sessions of the first run.
        num_after: Sessions of the second.
        paired: Whether session ``n`` is the same conversation in both, so that both runs draw the
            same sessions; what differs between conversations then does not count as noise.
        seed: Of the drawing.
        resamples: How many.
    """
    points = [_points(quantity, num_before, num_after) for quantity in quantities]
    relative: list[list[NDArray[np.float64]]] = [[] for _ in quantities]
    fewest = min(num_before, num_after)
    if fewest >= LEAST_SESSIONS:
        draws = np.random.default_rng(seed)
        at_once = max(1, _DRAWN_AT_ONCE // max(num_before, num_after))
        for count in _parts(resamples, at_once):
            before = _drawn(draws, count, num_before)
            after = before if paired else _drawn(draws, count, num_after)
            for found, quantity in zip(relative, quantities, strict=True):
                found.append(
                    _relative(quantity.before(before), quantity.after(after), quantity.floor)
                )
    return [
        Change(*point, *_interval(np.concatenate(found) if found else np.empty(0), fewest))
        for point, found in zip(points, relative, strict=True)
    ]


def outside_share(num_sessions: int) -> float:
    """Return what share of the draws lies beyond each end of the interval of so many sessions.

    Student's quantile is that of the series by Fisher and Cornish (1960), right to 0.2 % from
    ``LEAST_SESSIONS`` on.
    """
    normal, free = NormalDist(), num_sessions - 1
    z = normal.inv_cdf((1 + CONFIDENCE) / 2)
    student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    student += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    return normal.cdf(-student * math.sqrt(num_sessions / free))


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(len(above), math.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


def _points(quantity: Quantity, num_before: int, num_after: int) -> tuple[float, float, float]:
    before = quantity.before(np.ones((1, num_before), dtype=np.int64))
    after = quantity.after(np.ones((1, num_after), dtype=np.int64))
    return float(before[0]), float(after[0]), float(_relative(before, after, quantity.floor)[0])


def _relative(
    before: NDArray[np.float64], after: NDArray[np.float64], floor: float
) -> NDArray[np.float64]:
    difference = after - before
    by = np.maximum(before, floor)
    found = np.where(difference == 0, 0.0, np.copysign(math.inf, difference))
    found[np.isnan(difference)] = math.nan
    np.divide(difference, by, out=found, where=by > 0)
    return found


def _interval(relative: NDArray[np.float64], num_sessions: int) -> tuple[float, float]:
    found = np.sort(relative[~np.isnan(relative)])
    if not len(found):
        return math.nan, math.nan
    outside = outside_share(num_sessions)
    last = len(found) - 1
    return float(found[math.floor(outside * last)]), float(found[math.ceil((1 - outside) * last)])


def _drawn(draws: np.random.Generator, count: int, num_sessions: int) -> Counts:
    chosen = draws.integers(0, num_sessions, size=(count, num_sessions))
    chosen += num_sessions * np.arange(count)[:, None]
    flat = np.bincount(chosen.ravel(), minlength=count * num_sessions)
    return flat.reshape(count, num_sessions)


def _parts(total: int, most: int) -> Iterator[int]:
    for begin in range(0, total, most):
        yield min(most, total - begin)
