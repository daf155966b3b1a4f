"""One run over its time: percentiles, rates, and how much went on at once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from clients.replay.charts import Line, Picture, Points, plot
from clients.replay.figures.timings import DONE
from clients.replay.records import RunRecord
from clients.replay.report.paints import Paint
from clients.replay.windows import (
    at_once,
    live_spans,
    percentiles_over_time,
    rate_over_time,
    window_s,
)

_PERCENTS = (50.0, 90.0, 99.0)


def over_time(run: RunRecord, paint: Paint, words: Mapping[str, str]) -> list[Picture]:
    """Draw one run.

    Args:
        run: With times from its begin.
        paint: Its colour.
        words: Of ``report.words``.
    """
    return [
        _percentiles("ttft over time", ttft_over_time(run, _PERCENTS), paint, words),
        _percentiles("itl over time", _itl_over_time(run), paint, words),
        _rates(run, paint, words),
        _concurrency(run, paint, words),
    ]


def ttft_over_time(run: RunRecord, percents: Sequence[float]) -> list[list[tuple[float, float]]]:
    """Return percentiles of TTFT in ms by when requests were sent; see ``windows``."""
    values = ((r.sent_s, 1e3 * r.ttft_s) for r in run.requests if r.ttft_s is not None)
    return percentiles_over_time(values, window_s(end_of(run)), percents)


def end_of(run: RunRecord) -> float:
    """Return when a run's last event was, on the clock of its records."""
    moments = [run.duration_s]
    for request in run.requests:
        moments += [request.sent_s, request.planned_s or 0.0, request.ended_s or 0.0]
        moments += request.token_times_s[-1:]
    return max(moments)


def _itl_over_time(run: RunRecord) -> list[list[tuple[float, float]]]:
    gaps = (
        (later, 1e3 * (later - earlier))
        for request in run.requests
        for earlier, later in itertools.pairwise(request.token_times_s)
        if later > earlier
    )
    return percentiles_over_time(gaps, window_s(end_of(run)), _PERCENTS)


def _percentiles(
    about: str, curves: Sequence[Points], paint: Paint, words: Mapping[str, str]
) -> Picture:
    lines = [
        Line(f"p{percent:g}", curve, paint.colour, shade=shade)
        for shade, (percent, curve) in enumerate(zip(_PERCENTS, curves, strict=True))
    ]
    lines.reverse()  # the usual listener lies on top
    caption = words[f"{about}.how"]
    return plot(words[about], words["s"], words["ms"], lines, caption=caption, log_y=True)


def _rates(run: RunRecord, paint: Paint, words: Mapping[str, str]) -> Picture:
    end_s = end_of(run)
    planned = [r.planned_s for r in run.requests if r.planned_s is not None]
    sent = [r.sent_s for r in run.requests]
    done = [r.ended_s for r in run.requests if r.ended_s is not None and r.finish in DONE]
    kinds = [("sent", sent, 1), ("completed", done, 0)]
    width = window_s(end_s)
    lines = [
        Line(words[kind], rate_over_time(moments, width, end_s), paint.colour, shade=shade)
        for kind, moments, shade in kinds
        if moments
    ]
    if planned:
        lines.insert(0, Line(words["planned"], rate_over_time(planned, width, end_s), 5, True))
    return plot(words["rates"], words["s"], words["per second"], lines, caption=words["rates.how"])


def _concurrency(run: RunRecord, paint: Paint, words: Mapping[str, str]) -> Picture:
    end_s = end_of(run)
    live, waiting = live_spans(run.requests, end_s)
    mean, most = at_once(live, window_s(end_s), end_s)
    waiting_mean, _ = at_once(waiting, window_s(end_s), end_s)
    lines = [
        Line(words["at most"], most, paint.colour, shade=1),
        Line(words["in flight"], mean, paint.colour),
        Line(words["waiting"], waiting_mean, paint.colour, dashed=True),
    ]
    caption = words["concurrency.how"]
    return plot(words["concurrency"], words["s"], words["requests"], lines, caption=caption)
