"""What listeners felt: distribution functions of all runs, and how the first token fared."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clients.replay.charts import Line, Picture, cumulative, plot
from clients.replay.figures.timings import DONE, e2e_s, gaps
from clients.replay.records import RunRecord
from clients.replay.report.over_time import ttft_over_time
from clients.replay.report.paints import Measured, paints


def felt(measured: Measured, words: Mapping[str, str]) -> list[Picture]:
    """Draw all runs side by side.

    Args:
        measured: Runs and their figures.
        words: Of ``report.words``.
    """
    pictures = [
        _distribution("ttft", "share of replies", _ttft_ms, measured, words),
        _distribution("itl", "share of gaps", _itl_ms, measured, words),
        _distribution("e2e", "share of replies", _e2e_ms, measured, words),
        _p99_over_time(measured, words),
    ]
    if any(request.planned_s is not None for run, _ in measured for request in run.requests):
        pictures.append(_distribution("lag", "share of requests", _lag_ms, measured, words))
    return pictures


def _distribution(
    about: str,
    share: str,
    values: Callable[[RunRecord], list[float]],
    measured: Measured,
    words: Mapping[str, str],
) -> Picture:
    lines = [
        Line(run.name, cumulative(values(run)), paint.colour, shade=paint.shade)
        for (run, _), paint in zip(measured, paints(measured), strict=True)
    ]
    caption = words[f"{about}.how"]
    return plot(words[about], words["ms"], words[share], lines, caption=caption, log_x=True)


def _p99_over_time(measured: Measured, words: Mapping[str, str]) -> Picture:
    lines = [
        Line(run.name, ttft_over_time(run, [99.0])[0], paint.colour, shade=paint.shade)
        for (run, _), paint in zip(measured, paints(measured), strict=True)
    ]
    return plot(words["p99"], words["s"], words["ms"], lines, caption=words["p99.how"], log_y=True)


def _ttft_ms(run: RunRecord) -> list[float]:
    return [1e3 * r.ttft_s for r in run.requests if r.ttft_s is not None]


def _itl_ms(run: RunRecord) -> list[float]:
    return [1e3 * gap for request in run.requests for gap in gaps(request)]


def _e2e_ms(run: RunRecord) -> list[float]:
    times = (e2e_s(r) for r in run.requests if r.finish in DONE)
    return [1e3 * time_s for time_s in times if time_s is not None]


def _lag_ms(run: RunRecord) -> list[float]:
    return [1e3 * max(r.lag_s, 0.0) for r in run.requests if r.planned_s is not None]
