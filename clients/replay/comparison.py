"""Two runs set against each other, figure by figure: what is better, worse, or cannot be told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from clients.replay.bootstrap import (
    RESAMPLES,
    Change,
    Quantity,
    Statistic,
    changes,
    percentile_of,
    rate_of,
    ratio_of,
)
from clients.replay.figures.goodput import is_good
from clients.replay.figures.timings import DONE, e2e_s, gaps, num_output_tokens, tpot_s
from clients.replay.metrics import Targets
from clients.replay.playback import play, quality_of_experience
from clients.replay.records import RequestRecord, RunRecord
from clients.replay.script import READING_TOKENS_PER_S, ScriptError

Sessions = Sequence[Sequence[RequestRecord]]
Measure = Callable[[Sessions, Targets], Statistic]
Verdict = Literal["better", "worse", "regression", "no clear difference", "not measured"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that can be compared.

    Attributes:
        name: As it is asked for and shown.
        unit: Of the value.
        higher_is_better: Whether it is; else lower is.
        floor: See ``bootstrap.Quantity``.
        statistic: From sessions and what listeners expect.
    """

    name: str
    unit: str
    higher_is_better: bool
    floor: float
    statistic: Measure


@dataclass(frozen=True, slots=True)
class Compared:
    """What became of one metric."""

    metric: Metric
    change: Change
    verdict: Verdict


def compare(
    before: RunRecord,
    after: RunRecord,
    metrics: Sequence[Metric],
    *,
    targets: Targets,
    max_regression: float,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[Compared]:
    """Compare two runs.

    A metric is *better* or *worse* when the whole interval of its change lies beyond 0, and a
    *regression* when it lies beyond what is allowed. Runs of the same sessions are compared
    session by session.

    Args:
        before: The run to compare with.
        after: The run to judge.
        metrics: Some of ``METRICS``.
        targets: What goodput and QoE of both are measured against.
        max_regression: Allowed change for the worse, as a share of the first run's value.
        seed: Of the resampling.
        resamples: How often sessions are drawn.

    Raises:
        ScriptError: A run holds no request.
    """
    first, second = _by_session(before), _by_session(after)
    names = sorted(first)
    paired = names == sorted(second)
    old = [first[name] for name in names]
    new = [second[name] for name in (names if paired else sorted(second))]
    quantities = [
        Quantity(
            metric.statistic(old, targets),
            metric.statistic(new, targets),
            metric.floor,
        )
        for metric in metrics
    ]
    found = changes(quantities, len(old), len(new), paired=paired, seed=seed, resamples=resamples)
    return [
        Compared(metric, change, _verdict(metric, change, max_regression))
        for metric, change in zip(metrics, found, strict=True)
    ]


def _by_session(run: RunRecord) -> dict[str, list[RequestRecord]]:
    if not run.requests:
        raise ScriptError(f"the run {run.name!r} holds no request; there is nothing to compare")
    sessions: dict[str, list[RequestRecord]] = {}
    for request in run.requests:
        sessions.setdefault(request.session_id, []).append(request)
    return sessions


def _verdict(metric: Metric, change: Change, allowed: float) -> Verdict:
    if math.isnan(change.before) or math.isnan(change.after):
        return "not measured"
    low, high = (
        (-change.high, -change.low) if metric.higher_is_better else (change.low, change.high)
    )
    if low > 0:  # for the worse, whatever is better
        return "regression" if low > allowed else "worse"
    return "better" if high < 0 else "no clear difference"


def _percentile(
    values: Callable[[RequestRecord], Sequence[float | None]], percent: float
) -> Measure:
    def statistic(sessions: Sessions, _targets: Targets) -> Statistic:
        owned = [
            (value, number)
            for number, requests in enumerate(sessions)
            for request in requests
            for value in values(request)
            if value is not None
        ]
        return percentile_of([1e3 * v for v, _ in owned], [owner for _, owner in owned], percent)

    return statistic


def _share(part: Callable[[RequestRecord, Targets], float | None]) -> Measure:
    """The mean over requests; those of which there is nothing to say are left out."""

    def statistic(sessions: Sessions, targets: Targets) -> Statistic:
        parts = [[part(request, targets) for request in requests] for requests in sessions]
        known = [[value for value in values if value is not None] for values in parts]
        return ratio_of([math.fsum(values) for values in known], [len(values) for values in known])

    return statistic


def _tokens_per_s(sessions: Sessions, _targets: Targets) -> Statistic:
    tokens = [sum(num_output_tokens(r) for r in requests) for requests in sessions]
    begins = [min(r.sent_s for r in requests) for requests in sessions]
    ends = [max(_last_s(r) for r in requests) for requests in sessions]
    return rate_of(tokens, begins, ends)


def _last_s(request: RequestRecord) -> float:
    return max(request.sent_s, request.ended_s or 0.0, *request.token_times_s[-1:])


def _underruns(sessions: Sessions, _targets: Targets) -> Statistic:
    late, minutes = [], []
    for requests in sessions:
        played = [play(r.token_times_s, r.sent_s, READING_TOKENS_PER_S) for r in requests]
        late.append(1e3 * math.fsum(p.underrun_s for p in played if p is not None))
        minutes.append(math.fsum(p.played_s for p in played if p is not None) / 60.0)
    return ratio_of(late, minutes)


def _quality(request: RequestRecord, targets: Targets) -> float | None:
    if request.finish == "abort" and not request.token_times_s:
        return None  # called off before it could please or annoy
    return quality_of_experience(
        request.token_times_s, request.sent_s, request.tokens_per_s, targets.ttft_s
    )


METRICS: tuple[Metric, ...] = (
    Metric("ttft_p50", "ms", False, 0.0, _percentile(lambda r: [r.ttft_s], 50)),
    Metric("ttft_p99", "ms", False, 0.0, _percentile(lambda r: [r.ttft_s], 99)),
    Metric("itl_p50", "ms", False, 0.0, _percentile(gaps, 50)),
    Metric("itl_p99", "ms", False, 0.0, _percentile(gaps, 99)),
    Metric("tpot_p50", "ms", False, 0.0, _percentile(lambda r: [tpot_s(r)], 50)),
    Metric(
        "e2e_p99",
        "ms",
        False,
        0.0,
        _percentile(lambda r: [e2e_s(r)] if r.finish in DONE else [], 99),
    ),
    Metric("tokens_per_s", "/s", True, 0.0, _tokens_per_s),
    Metric("goodput", "%", True, 1.0, _share(lambda r, t: 100.0 * is_good(r, t.limits_s()))),
    Metric("underruns", "ms/min", False, 10.0, _underruns),
    Metric("qoe", "", True, 0.01, _share(_quality)),
    Metric("errors", "%", False, 0.1, _share(lambda r, _: 100.0 * (r.finish in ("error", "")))),
)
"""In the order in which they are shown. Underruns are at reading speed, and what never ended
counts as an error."""
