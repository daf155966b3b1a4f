"""Times on a device's own clock, in alternating rounds, out of captured graphs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Launch = Callable[[], object]
"""Launches work on the current stream and waits for none of it."""

ROUNDS, WARM_ROUNDS = 15, 2


def median_s(call: Launch, device: torch.device, *, rounds: int = ROUNDS) -> float:
    """Return the median seconds from a call to the end of what it launched."""
    return medians_s({"": call}, device, rounds=rounds)[""]


def medians_s(
    calls: Mapping[str, Launch], device: torch.device, *, rounds: int = ROUNDS
) -> dict[str, float]:
    """Return each call's median seconds, taken in turns so that a card that drifts drifts for all.

    Args:
        calls: By name.
        device: Where they compute.
        rounds: Over all calls; more of them warm up, unless there is only one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    warm = WARM_ROUNDS if rounds > 1 else 0
    for turn in range(warm + rounds):
        for name, call in calls.items():
            taken = _seconds(call, device)
            if turn >= warm:
                seconds[name].append(taken)
    return {name: statistics.median(values) for name, values in seconds.items()}


def captured(launch: Launch, device: torch.device) -> Launch:
    """Return a call that replays what was launched from a CUDA graph; on a CPU the call itself.

    Kernels are compiled and libraries warmed before anything is captured.
    """
    if device.type != "cuda":
        return launch
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        launch()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        launch()
    return graph.replay


def _seconds(call: Launch, device: torch.device) -> float:
    if device.type != "cuda":
        started = time.perf_counter()
        call()
        return time.perf_counter() - started
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3
