"""Figures of a run, from its records alone, so that a simulated and a live run are comparable.

What each figure means is told in ``clients.replay.figures`` and, as one table, in
``docs/replay.md``. Latencies of the run as a whole are over every reply that has them, interrupted
ones too: leaving those out would hide exactly the replies that listeners gave up on. What
``vllm bench serve`` and aiperf report is over completed replies and stands in ``completed``.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from clients.replay.figures.delivery import CancelFigures, WireFigures, cancel_figures, wire_figures
from clients.replay.figures.distribution import Distribution, distribution, percentile
from clients.replay.figures.fairness import fairness
from clients.replay.figures.goodput import is_good
from clients.replay.figures.listening import PlaybackFigures, playback_figures
from clients.replay.figures.outcomes import (
    OutcomeFigures,
    completed,
    errored,
    incomplete,
    outcome_figures,
)
from clients.replay.figures.peaks import peak_concurrency, peak_tokens_per_s
from clients.replay.figures.server_side import overhead_figures, server_figures
from clients.replay.figures.timings import num_output_tokens
from clients.replay.playback import effective_tokens, quality_of_experience
from clients.replay.records import RunRecord
from clients.replay.script import READING_TOKENS_PER_S, SPEECH_START_TOKENS, SPEECH_TOKENS_PER_S


@dataclass(frozen=True, slots=True)
class Targets:
    """What a listener expects; seconds, and ``None`` for whatever does not matter.

    Attributes:
        ttft_s: Until the first token; also what QoE expects.
        itl_s: Per token after the first piece, on average over a reply.
        tpot_s: Per token after the first, on average over a reply.
        e2e_s: Until the terminal event.
    """

    ttft_s: float = 1.0
    itl_s: float | None = 0.2
    tpot_s: float | None = None
    e2e_s: float | None = None

    def limits_s(self) -> dict[str, float]:
        """Return those that are set, by the names of ``clients.replay.figures.goodput``."""
        named = {"ttft": self.ttft_s, "itl": self.itl_s, "tpot": self.tpot_s, "e2e": self.e2e_s}
        return {name: limit for name, limit in named.items() if limit is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that a report says of a run. Shares are from 0 to 1, times in seconds.

    Attributes:
        num_requests: Requests that were sent.
        num_completed: Replies that came to their end.
        num_aborted: Those that were cancelled.
        num_errors: Those that failed or were turned away.
        num_unfinished: Those whose end never came.
        errors: Failures by code.
        duration_s: From the first sending to the last event.
        offered_per_s: Requests per second that the workload meant; ``None`` where it does not say.
        requests_per_s: Completed replies per second.
        peak_concurrency: The most requests that were open at one moment.
        lag_s: How late the client sent what it had planned; empty where it sends when it likes.
        ttft_s: Time to the first token.
        ttst_s: From the first piece to the second.
        itl_s: Every gap between two pieces.
        tpot_s: Time per output token after the first.
        ntpot_s: End to end over output tokens, of completed replies.
        first_segment_s: Until a voice could begin to speak.
        e2e_s: Until the terminal event, of completed replies.
        completed: The same of completed replies alone, as vLLM and aiperf report it.
        incomplete: Of those that were cancelled or never ended.
        errored: Of those that failed.
        tokens_per_s: Tokens that came, of all replies, per second.
        peak_tokens_per_s: The most that came within one second.
        effective_tokens_per_s: TokenFlow's effective throughput.
        goodput_per_s: Good replies per second.
        goodput_share: Good replies of all requests.
        goodput_tokens_per_s: Tokens of good replies per second.
        cached_share: Prompt tokens that came from the prefix cache; not a number where no target
            counted prompts.
        own_speed: Playback at each listener's own speed.
        reading: Playback at reading speed.
        speech: Playback at speaking speed.
        qoe: Andes's quality of experience, mean over all replies but those cancelled in time.
        qoe_p10: What nine of ten replies reach.
        num_preemptions: Requests that lost their blocks; ``None`` where nobody saw the engine.
        preemption_waste: Computed tokens that had been computed before; not a number likewise.
        cancel: How soon interruptions worked.
        wire: Resumes, gaps, duplicates; ``None`` where the target does not number its events.
        server_ms: The target's own timings by name, milliseconds.
        overhead_ms: How much later the client had the same, milliseconds.
        num_tenants: Between whom the engine had to be fair.
        fairness: Jain's index over them.
        longest_wait_s: Until a first token, or an end without one.
    """

    num_requests: int
    num_completed: int
    num_aborted: int
    num_errors: int
    num_unfinished: int
    errors: dict[str, int]
    duration_s: float
    offered_per_s: float | None
    requests_per_s: float
    peak_concurrency: int
    lag_s: Distribution
    ttft_s: Distribution
    ttst_s: Distribution
    itl_s: Distribution
    tpot_s: Distribution
    ntpot_s: Distribution
    first_segment_s: Distribution
    e2e_s: Distribution
    completed: OutcomeFigures
    incomplete: OutcomeFigures
    errored: OutcomeFigures
    tokens_per_s: float
    peak_tokens_per_s: float
    effective_tokens_per_s: float
    goodput_per_s: float
    goodput_share: float
    goodput_tokens_per_s: float
    cached_share: float
    own_speed: PlaybackFigures
    reading: PlaybackFigures
    speech: PlaybackFigures
    qoe: float
    qoe_p10: float
    num_preemptions: int | None
    preemption_waste: float
    cancel: CancelFigures
    wire: WireFigures | None
    server_ms: dict[str, Distribution]
    overhead_ms: dict[str, Distribution]
    num_tenants: int
    fairness: float
    longest_wait_s: float


def figures(run: RunRecord, targets: Targets = Targets()) -> Figures:
    """Measure a run."""
    requests = run.requests
    duration_s = max(run.duration_s, 1e-9)
    done = outcome_figures(completed(requests), duration_s)
    everyone = done if done.count == len(requests) else outcome_figures(requests, duration_s)
    limits_s = targets.limits_s()
    good = [r for r in requests if is_good(r, limits_s)]
    told = [r for r in requests if r.cached_tokens is not None]
    prompts = sum(r.prompt_tokens for r in told)
    qualities = sorted(
        quality_of_experience(r.token_times_s, r.sent_s, r.tokens_per_s, targets.ttft_s)
        for r in requests
        if r.finish != "abort" or r.token_times_s
    )
    sees_engine = bool(run.steps or run.computed_tokens or run.num_preemptions)
    return Figures(
        num_requests=len(requests),
        num_completed=done.count,
        num_aborted=sum(r.finish == "abort" for r in requests),
        num_errors=len(errored(requests)),
        num_unfinished=sum(not r.finish for r in requests),
        errors=dict(Counter(r.error_code or "unknown" for r in errored(requests))),
        duration_s=run.duration_s,
        offered_per_s=run.offered_per_s,
        requests_per_s=done.requests_per_s,
        peak_concurrency=peak_concurrency(requests),
        lag_s=distribution(None if r.planned_s is None else r.lag_s for r in requests),
        ttft_s=everyone.ttft_s,
        ttst_s=everyone.ttst_s,
        itl_s=everyone.itl_s,
        tpot_s=everyone.tpot_s,
        ntpot_s=done.ntpot_s,
        first_segment_s=everyone.first_segment_s,
        e2e_s=done.e2e_s,
        completed=done,
        incomplete=outcome_figures(incomplete(requests), duration_s),
        errored=outcome_figures(errored(requests), duration_s),
        tokens_per_s=everyone.tokens_per_s,
        peak_tokens_per_s=peak_tokens_per_s(requests),
        effective_tokens_per_s=sum(
            effective_tokens(r.token_times_s, r.tokens_per_s) for r in requests
        )
        / duration_s,
        goodput_per_s=len(good) / duration_s,
        goodput_share=len(good) / len(requests) if requests else 1.0,
        goodput_tokens_per_s=sum(num_output_tokens(r) for r in good) / duration_s,
        cached_share=sum(r.cached_tokens or 0 for r in told) / prompts if prompts else math.nan,
        own_speed=playback_figures(requests),
        reading=playback_figures(requests, READING_TOKENS_PER_S),
        speech=playback_figures(requests, SPEECH_TOKENS_PER_S, SPEECH_START_TOKENS),
        qoe=math.fsum(qualities) / len(qualities) if qualities else math.nan,
        qoe_p10=percentile(qualities, 10.0) if qualities else math.nan,
        num_preemptions=run.num_preemptions if sees_engine else None,
        preemption_waste=run.recomputed_tokens / run.computed_tokens
        if run.computed_tokens
        else math.nan,
        cancel=cancel_figures(requests),
        wire=wire_figures(requests, is_numbered=run.target.startswith("kaiwa")),
        server_ms=server_figures(requests),
        overhead_ms=overhead_figures(requests),
        num_tenants=len({r.tenant for r in requests}),
        fairness=fairness(requests),
        longest_wait_s=max((r.wait_s for r in requests if r.wait_s is not None), default=0.0),
    )


def as_json(measured: Figures) -> dict[str, Any]:
    """Return figures as a JSON object; what could not be measured is ``null``."""
    found = _plain(measured)
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Distribution):
        named = {f"p{percent:g}": _plain(at) for percent, at in value.percentiles.items()}
        ends = {"min": value.lowest, "max": value.highest}
        found = {"count": value.count, "mean": value.mean, "std": value.std} | ends
        return {name: _plain(number) for name, number in found.items()} | named
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
