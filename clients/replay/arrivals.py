"""When sessions begin: arrival models, each drawn from a seeded generator.

All are open loop: nobody waits for the server before arriving, so queueing shows as latency
instead of being hidden by a slower sender.
"""

from __future__ import annotations

import random


def constant(count: int, rate: float) -> list[float]:
    """Return ``count`` times, one every ``1 / rate`` seconds."""
    return [number / rate for number in range(count)]


def gamma(count: int, rate: float, burstiness: float, dice: random.Random) -> list[float]:
    """Return arrival times whose gaps follow a gamma distribution.

    Args:
        count: How many.
        rate: Arrivals per second on average.
        burstiness: The distribution's shape: 1 is Poisson, less comes in bursts, more is smoother.
        dice: Where chance comes from.

    Returns:
        Rising times, the first at 0. Gaps are scaled so that all arrive within
        ``(count - 1) / rate`` seconds exactly, as vLLM's benchmark does: two draws of one rate
        then offer the same load.
    """
    gaps = [dice.gammavariate(burstiness, 1.0 / (rate * burstiness)) for _ in range(count - 1)]
    total = sum(gaps)
    scale = (count - 1) / rate / total if total > 0 else 1.0
    times = [0.0] if count else []
    for gap in gaps:
        times.append(times[-1] + gap * scale)
    return times


def poisson(count: int, rate: float, dice: random.Random) -> list[float]:
    """Return arrival times of a Poisson process."""
    return gamma(count, rate, 1.0, dice)


def bursts(count: int, size: int, every_s: float, *, within_s: float = 0.0) -> list[float]:
    """Return arrivals in groups of ``size``, a group every ``every_s`` seconds.

    Args:
        count: How many in all.
        size: Arrivals per group.
        every_s: From the start of one group to that of the next.
        within_s: Over how many seconds a group is spread evenly.
    """
    return [
        (number // size) * every_s + (number % size) * within_s / size for number in range(count)
    ]


def ramp(duration_s: float, start_rate: float, end_rate: float, dice: random.Random) -> list[float]:
    """Return a Poisson process whose rate goes from one value to another in a straight line."""
    highest = max(start_rate, end_rate)
    times: list[float] = []
    now = 0.0
    while highest > 0:
        now += dice.expovariate(highest)
        if now >= duration_s:
            break
        rate = start_rate + (end_rate - start_rate) * now / duration_s
        if dice.random() * highest < rate:  # thinning, after Lewis and Shedler
            times.append(now)
    return times


def rising(
    count: int, start_rate: float, end_rate: float, dice: random.Random, *, by_factor: bool
) -> list[float]:
    """Return ``count`` times of a Poisson process whose rate changes with each arrival.

    With the share ``p`` of arrivals so far the rate is ``start + (end - start) p``, or, by factors,
    ``start (end / start) ** p``.
    """
    times: list[float] = []
    now = 0.0
    for number in range(count):
        times.append(now)
        share = number / max(1, count - 1)
        rate = start_rate + (end_rate - start_rate) * share
        if by_factor:
            rate = start_rate * (end_rate / start_rate) ** share
        now += dice.expovariate(rate)
    return times
