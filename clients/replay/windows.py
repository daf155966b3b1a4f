"""A run cut into windows of time: percentiles, rates and how much went on at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from clients.replay.figures.distribution import percentile
from clients.replay.records import RequestRecord
from clients.replay.scales import round_step

MOST_WINDOWS = 40


def window_s(duration_s: float) -> float:
    """Return a round width that cuts a run into at most ``MOST_WINDOWS`` windows."""
    return round_step(max(duration_s, 1e-3), MOST_WINDOWS)


def percentiles_over_time(
    values: Iterable[tuple[float, float]], width_s: float, percents: Sequence[float]
) -> list[list[tuple[float, float]]]:
    """Return a curve for each percentile, with a point in the middle of every window.

    Args:
        values: When, in seconds from the begin, and what.
        width_s: Of a window.
        percents: From 0 to 100.

    Returns:
        For each of ``percents`` the points; a window without values has not a number.
    """
    windows = _grouped(values, width_s)
    ordered = [sorted(window) for window in windows]
    return [
        [
            ((number + 0.5) * width_s, percentile(window, percent) if window else math.nan)
            for number, window in enumerate(ordered)
        ]
        for percent in percents
    ]


def rate_over_time(
    moments_s: Iterable[float], width_s: float, duration_s: float
) -> list[tuple[float, float]]:
    """Return events per second, with a point in the middle of every window of the run."""
    windows = _grouped(((moment, 1.0) for moment in moments_s), width_s)
    count = max(len(windows), math.ceil(duration_s / width_s - 1e-9))
    return [
        ((number + 0.5) * width_s, (len(windows[number]) if number < len(windows) else 0) / width_s)
        for number in range(count)
    ]


def at_once(
    spans: Iterable[tuple[float, float]], width_s: float, duration_s: float
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return how many spans held at once: over each window's time on average, and at most.

    Args:
        spans: Begin and end of each, in seconds from the run's begin.
        width_s: Of a window.
        duration_s: Of the run; what lies beyond it is left out.
    """
    count = max(1, math.ceil(duration_s / width_s - 1e-9))
    held, most = [0.0] * count, [0] * count
    changes = sorted(
        change for begin, end in spans if end > begin for change in ((begin, 1), (end, -1))
    )
    level = 0
    for (begin, change), (end, _) in zip(changes, changes[1:], strict=False):
        level += change
        first = max(0, int(begin / width_s))
        for window in range(first, min(count, math.ceil(end / width_s))):
            inside = min(end, (window + 1) * width_s) - max(begin, window * width_s)
            if inside > 0:
                held[window] += level * inside
                most[window] = max(most[window], level)
    middles = [(number + 0.5) * width_s for number in range(count)]
    mean = [(middle, value / width_s) for middle, value in zip(middles, held, strict=True)]
    return mean, [(middle, float(value)) for middle, value in zip(middles, most, strict=True)]


def live_spans(
    requests: Iterable[RequestRecord], end_s: float
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return from when to when requests were live, and from when to when they had no token yet.

    Args:
        requests: Of a run.
        end_s: When the run was over; requests that never ended lived until then.
    """
    live, waiting = [], []
    for request in requests:
        over = end_s if request.ended_s is None else request.ended_s
        live.append((request.sent_s, over))
        first = request.token_times_s[0] if request.token_times_s else over
        waiting.append((request.sent_s, first))
    return live, waiting


def _grouped(values: Iterable[tuple[float, float]], width_s: float) -> list[list[float]]:
    windows: list[list[float]] = []
    for moment, value in values:
        number = max(0, int(moment / width_s))
        while len(windows) <= number:
            windows.append([])
        windows[number].append(value)
    return windows
