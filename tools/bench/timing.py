"""When replies were asked for and when their tokens came. Needs the standard library only."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict


class Figures(TypedDict):
    """What a pass comes to; times in milliseconds."""

    tokens_per_second: float
    ttft_p50_ms: float
    ttft_p99_ms: float
    itl_p50_ms: float
    itl_p99_ms: float
    requests: int
    tokens: int


class Timings:
    """The moments of one pass, on one clock."""

    def __init__(self) -> None:
        self.asked: dict[int, float] = {}
        self.tokens: dict[int, list[float]] = {}

    def ask(self, index: int) -> None:
        """Note that a reply is asked for now."""
        self.asked[index] = time.perf_counter()
        self.tokens[index] = []

    def take(self, index: int, count: int = 1) -> None:
        """Note that ``count`` tokens of it came now."""
        self.tokens[index] += [time.perf_counter()] * count

    def figures(self, *, tokens: int | None = None) -> Figures:
        """Sum up, times in milliseconds; ``tokens`` where a server told how many there were.

        Raises:
            ValueError: A reply was empty, and a rate would mean nothing.
        """
        silent = [index for index, times in self.tokens.items() if not times]
        if silent:
            raise ValueError(f"{len(silent)} of {len(self.tokens)} replies were empty")
        started = min(self.asked.values())
        ended = max(times[-1] for times in self.tokens.values())
        first = [times[0] - self.asked[i] for i, times in self.tokens.items()]
        gaps = [
            b - a for times in self.tokens.values() for a, b in zip(times, times[1:], strict=False)
        ]
        total = tokens or sum(len(times) for times in self.tokens.values())
        return {
            "tokens_per_second": total / (ended - started),
            "ttft_p50_ms": 1e3 * percentile(first, 50),
            "ttft_p99_ms": 1e3 * percentile(first, 99),
            "itl_p50_ms": 1e3 * percentile(gaps, 50),
            "itl_p99_ms": 1e3 * percentile(gaps, 99),
            "requests": len(self.asked),
            "tokens": total,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which ``percent`` of them lie (nearest rank); 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0


async def closed_loop(
    prompts: Sequence[Any],
    streams: int,
    timings: Timings,
    reply: Callable[[int, Any], Awaitable[None]],
) -> None:
    """Run ``streams`` workers over the prompts; ``reply`` awaits one reply and notes its tokens."""
    numbered = iter(enumerate(prompts))

    async def work() -> None:
        for index, prompt in numbered:
            timings.ask(index)
            await reply(index, prompt)

    async with asyncio.TaskGroup() as group:
        for _ in range(streams):
            group.create_task(work())
