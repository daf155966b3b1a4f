"""Figures of a run, from its records alone, so that a simulated and a live run are comparable.

Definitions: TTFT is from sending to the first token; ITL is every gap between two pieces of a
reply; TPOT is ``(end to end - TTFT) / (tokens - 1)``; goodput counts the replies that kept both
targets. Percentiles interpolate linearly between the two nearest ranks, as numpy does.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clients.replay.playback import effective_tokens, play, quality_of_experience
from clients.replay.records import RequestRecord, RunRecord
from clients.replay.script import READING_TOKENS_PER_S, SPEECH_START_TOKENS, SPEECH_TOKENS_PER_S

PERCENTS = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Targets:
    """What a listener expects; seconds."""

    ttft_s: float = 1.0
    itl_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Distribution:
    """Mean and percentiles of one quantity."""

    count: int = 0
    mean: float = math.nan
    highest: float = math.nan
    percentiles: dict[float, float] = field(default_factory=dict)

    def at(self, percent: float) -> float:
        """Return one of ``PERCENTS``; not a number when there was nothing to measure."""
        return self.percentiles.get(percent, math.nan)


@dataclass(frozen=True, slots=True)
class PlaybackFigures:
    """All replies of a run at one speed of listening."""

    speed: float
    underruns: int
    underrun_s: float
    underrun_ms_per_minute: float
    startup_s: Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that a report says of a run. Shares are from 0 to 1, times in seconds."""

    num_requests: int
    num_completed: int
    num_aborted: int
    num_errors: int
    num_unfinished: int
    errors: dict[str, int]
    duration_s: float
    ttft_s: Distribution
    itl_s: Distribution
    tpot_s: Distribution
    e2e_s: Distribution
    tokens_per_s: float
    effective_tokens_per_s: float
    requests_per_s: float
    goodput_per_s: float
    goodput_share: float
    cached_share: float
    own_speed: PlaybackFigures
    reading: PlaybackFigures
    speech: PlaybackFigures
    qoe: float
    qoe_p10: float
    num_preemptions: int
    preemption_waste: float
    cancel_steps_max: int | None
    tokens_after_cancel: int
    fairness: float
    longest_wait_s: float


def distribution(values: Iterable[float]) -> Distribution:
    """Return mean, maximum and percentiles of some values."""
    ordered = sorted(values)
    if not ordered:
        return Distribution()
    return Distribution(
        len(ordered),
        math.fsum(ordered) / len(ordered),
        ordered[-1],
        {percent: percentile(ordered, percent) for percent in PERCENTS},
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of values in rising order, at least one."""
    place = (len(ordered) - 1) * percent / 100.0
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 when all shares are equal, ``1 / n`` when one has all.

    ``(sum x)² / (n · sum x²)``; Jain, Chiu, Hawe, DEC-TR-301, 1984.
    """
    squares = math.fsum(share * share for share in shares)
    return math.fsum(shares) ** 2 / (len(shares) * squares) if squares > 0 else 1.0


def figures(run: RunRecord, targets: Targets = Targets()) -> Figures:
    """Measure a run."""
    requests = run.requests
    done = [r for r in requests if r.finish in ("stop", "length")]
    good = [r for r in done if _keeps(r, targets)]
    duration = max(run.duration_s, 1e-9)
    prompts = sum(r.prompt_tokens for r in requests)
    num_tokens = sum(len(r.token_times_s) for r in requests)
    errors: dict[str, int] = defaultdict(int)
    for request in requests:
        if request.finish == "error":
            errors[request.error_code or "unknown"] += 1
    qualities = sorted(
        quality_of_experience(r.token_times_s, r.sent_s, r.tokens_per_s, targets.ttft_s)
        for r in requests
        if r.finish != "abort" or r.token_times_s
    )
    cancels = [r.cancel_steps for r in requests if r.cancel_steps is not None]
    return Figures(
        num_requests=len(requests),
        num_completed=len(done),
        num_aborted=sum(r.finish == "abort" for r in requests),
        num_errors=sum(errors.values()),
        num_unfinished=sum(not r.finish for r in requests),
        errors=dict(errors),
        duration_s=run.duration_s,
        ttft_s=distribution(r.ttft_s for r in requests if r.ttft_s is not None),
        itl_s=distribution(gap for r in requests for gap in gaps(r)),
        tpot_s=distribution(
            (r.token_times_s[-1] - r.token_times_s[0]) / (len(r.token_times_s) - 1)
            for r in requests
            if len(r.token_times_s) > 1
        ),
        e2e_s=distribution(r.ended_s - r.sent_s for r in done if r.ended_s is not None),
        tokens_per_s=num_tokens / duration,
        effective_tokens_per_s=sum(
            effective_tokens(r.token_times_s, r.tokens_per_s) for r in requests
        )
        / duration,
        requests_per_s=len(done) / duration,
        goodput_per_s=len(good) / duration,
        goodput_share=len(good) / len(requests) if requests else 1.0,
        cached_share=sum(r.cached_tokens for r in requests) / prompts if prompts else 0.0,
        own_speed=_playback(requests, None),
        reading=_playback(requests, READING_TOKENS_PER_S),
        speech=_playback(requests, SPEECH_TOKENS_PER_S, SPEECH_START_TOKENS),
        qoe=math.fsum(qualities) / len(qualities) if qualities else math.nan,
        qoe_p10=percentile(qualities, 10.0) if qualities else math.nan,
        num_preemptions=run.num_preemptions,
        preemption_waste=run.recomputed_tokens / run.computed_tokens
        if run.computed_tokens
        else 0.0,
        cancel_steps_max=max(cancels, default=None),
        tokens_after_cancel=sum(r.tokens_after_cancel for r in requests),
        fairness=_fairness(requests),
        longest_wait_s=max((r.wait_s for r in requests if r.wait_s is not None), default=0.0),
    )


def gaps(request: RequestRecord) -> list[float]:
    """Return the times between the pieces that brought a reply's tokens, as vLLM counts ITL."""
    times = request.token_times_s
    pairs = zip(times, times[1:], strict=False)
    return [later - earlier for earlier, later in pairs if later > earlier]


def _keeps(request: RequestRecord, targets: Targets) -> bool:
    """Whether a reply kept its targets: the first token's, and on average the following ones'."""
    times = request.token_times_s
    if not times or times[0] - request.sent_s > targets.ttft_s:
        return False
    return len(times) == 1 or (times[-1] - times[0]) / (len(times) - 1) <= targets.itl_s


def _playback(
    requests: Sequence[RequestRecord], speed: float | None, reserve_tokens: int | None = None
) -> PlaybackFigures:
    played = [
        play(
            r.token_times_s,
            r.sent_s,
            speed or r.tokens_per_s,
            reserve_tokens=(r.reserve_tokens if speed is None else 1)
            if reserve_tokens is None
            else reserve_tokens,
        )
        for r in requests
    ]
    heard = [playback for playback in played if playback is not None]
    underrun_s = math.fsum(playback.underrun_s for playback in heard)
    minutes = math.fsum(playback.played_s for playback in heard) / 60.0
    own = {r.tokens_per_s for r in requests}
    return PlaybackFigures(
        speed=speed or (own.pop() if len(own) == 1 else math.nan),
        underruns=sum(playback.underruns for playback in heard),
        underrun_s=underrun_s,
        underrun_ms_per_minute=1e3 * underrun_s / minutes if minutes else 0.0,
        startup_s=distribution(playback.startup_s for playback in heard),
    )


def _fairness(requests: Sequence[RequestRecord]) -> float:
    """Jain's index over tenants of the share of its tokens' worth that each got.

    The measure is each tenant's tokens per second of waiting and receiving, so that a tenant with
    twice the requests is not thought to be favoured.
    """
    tokens: dict[str, float] = defaultdict(float)
    seconds: dict[str, float] = defaultdict(float)
    for request in requests:
        if request.ended_s is not None and request.token_times_s:
            tokens[request.tenant] += len(request.token_times_s)
            seconds[request.tenant] += max(request.ended_s - request.sent_s, 1e-9)
    return jain([tokens[tenant] / seconds[tenant] for tenant in tokens]) if tokens else 1.0


def as_json(measured: Figures) -> dict[str, Any]:
    """Return figures as a JSON object; what could not be measured is ``null``."""
    return {name: _plain(getattr(measured, name)) for name in Figures.__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, Distribution):
        named = {f"p{percent:g}": _plain(at) for percent, at in value.percentiles.items()}
        return {"count": value.count, "mean": _plain(value.mean), "max": _plain(value.highest)} | (
            named
        )
    if isinstance(value, PlaybackFigures):
        return {name: _plain(getattr(value, name)) for name in PlaybackFigures.__slots__}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
