"""How long the device takes for what it is given to do."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_ROUNDS = 5


def seconds_of(launch: Callable[[], object]) -> float:
    """Return the least of a few, on the device's own clock; the first one warms up."""
    launch()
    if not torch.cuda.is_available():
        started = time.perf_counter()
        launch()
        return time.perf_counter() - started
    found = []
    for _ in range(_ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        launch()
        end.record()
        end.synchronize()
        found.append(1e-3 * float(begin.elapsed_time(end)))
    return min(found)
