"""Many WebSocket listeners in several processes: one would be busier than the server is."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from clients.access import Access
from clients.bench import Measured, talk

_STREAMS_EACH = 32
_START_S = 4.0
"""Seconds until all processes have begun: they import what they need first."""


@dataclass(frozen=True, slots=True)
class Load:
    """What listeners ask.

    Attributes:
        url: Of the WebSocket.
        model: Character or engine.
        turns: Replies that each asks for.
        max_tokens: Longest reply.
    """

    url: str
    model: str
    turns: int
    max_tokens: int


def talk_from_processes(load: Load, streams: int) -> Measured:
    """Let so many streams talk at a time, and return what they saw together."""
    cores = os.cpu_count() or 1
    count = max(1, min(-(-streams // _STREAMS_EACH), cores // 2))
    begin = time.time() + (_START_S if count > 1 else 0.0)
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        asked = [
            pool.submit(_talk_here, load, list(range(i, streams, count)), begin)
            for i in range(count)
        ]
        found = [each.result() for each in asked]
    together = Measured(duration=max(each.duration for each in found))
    for each in found:
        together.ttft += each.ttft
        together.itl += each.itl
        together.tokens += each.tokens
        together.replies += each.replies
        together.failed += each.failed
    return together


def _talk_here(load: Load, numbers: list[int], begin: float) -> Measured:
    time.sleep(max(0.0, begin - time.time()))
    access = Access(load.url)
    return asyncio.run(
        talk(access, load.model, numbers, turns=load.turns, max_tokens=load.max_tokens)
    )
