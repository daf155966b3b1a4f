"""What happened to each request, whoever measured it: the only input of metrics and reports."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

_FINISHES = ("stop", "length", "abort", "error", "")
_MOST_S = 1e9
"""Thirty years; sums over such times stay finite."""
_SLOWEST = 1e-3


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One reply; times in seconds on the run's clock.

    Attributes:
        request_id: Unique in the run.
        session_id: Whose.
        turn: Which of the session's turns, from 0.
        tenant: For fairness.
        priority: Lower runs first.
        sent_s: When it was sent.
        token_times_s: When each token came; tokens of one delta share their time.
        ended_s: When its terminal event came; ``None`` when it never did.
        finish: ``stop``, ``length``, ``abort`` or ``error``; empty when it never ended.
        error_code: For ``error``.
        prompt_tokens: Length of the prompt.
        cached_tokens: How many of them came from the prefix cache; ``None`` where it does not say.
        cancelled_s: When an interruption was sent, if one was.
        cancel_steps: Engine steps that began after the cancel and still held the request.
        tokens_after_cancel: Tokens that came after the end which answered a cancel.
        tokens_per_s: How fast its listener reads or hears.
        reserve_tokens: Tokens that had to be there before listening began.
        planned_s: When it should have been sent; ``None`` where that is when it was. What lies
            between is the client's own lag, and not the server's.
        output_tokens: Tokens of the reply as the target counts them; ``None`` where it does not.
        first_segment_s: When the first piece that a voice could speak was whole.
        cancel_acked_s: When the target said that the reply was over, after an interruption.
        num_resumes: Times that the client came back over another connection meanwhile.
        num_gaps: Events that never came, by their numbers.
        num_duplicates: Events that came twice, by their numbers.
        text_differs: Whether the deltas were not the text that the end stated.
        server_ms: The target's own timings, by the names that it gives them.
    """

    request_id: str
    session_id: str
    turn: int
    sent_s: float
    tenant: str = ""
    priority: int = 0
    token_times_s: list[float] = field(default_factory=list)
    ended_s: float | None = None
    finish: str = ""
    error_code: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    cancelled_s: float | None = None
    cancel_steps: int | None = None
    tokens_after_cancel: int = 0
    tokens_per_s: float = 5.5
    reserve_tokens: int = 1
    planned_s: float | None = None
    output_tokens: int | None = None
    first_segment_s: float | None = None
    cancel_acked_s: float | None = None
    num_resumes: int = 0
    num_gaps: int = 0
    num_duplicates: int = 0
    text_differs: bool = False
    server_ms: dict[str, float] = field(default_factory=dict)

    @property
    def lag_s(self) -> float:
        """Seconds by which the client was late to send."""
        return 0.0 if self.planned_s is None else self.sent_s - self.planned_s

    @property
    def ttft_s(self) -> float | None:
        """Seconds from sending to the first token; ``None`` when there was none."""
        return self.token_times_s[0] - self.sent_s if self.token_times_s else None

    @property
    def wait_s(self) -> float | None:
        """Seconds until the first token, or until the end of a request that never got one."""
        if self.token_times_s:
            return self.token_times_s[0] - self.sent_s
        return None if self.ended_s is None else self.ended_s - self.sent_s


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of the engine, for timelines."""

    time_s: float
    duration_s: float
    num_running: int
    num_waiting: int
    prefill_tokens: int
    decode_tokens: int
    kv_used: int
    kv_cached: int
    kv_total: int
    num_preempted: int = 0


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """One run of a workload under one policy.

    Attributes:
        name: What distinguishes it from the runs beside it, such as ``deadline 1.5x``.
        policy: The scheduler's.
        load: The factor on arrivals.
        requests: In the order in which they were sent.
        steps: Of the engine, possibly thinned out.
        duration_s: From the first request's sending to the last event.
        computed_tokens: Tokens that the engine computed, prompts and replies.
        recomputed_tokens: How many of those it had computed before and lost by preemption.
        num_preemptions: Times that a request lost its blocks.
        target: What was asked, such as ``kaiwa``, ``chat completions`` or ``simulator``.
        offered_per_s: Requests per second that were offered, where the workload says so.
        invalid: Why the run says nothing of the target, such as a client that could not keep up;
            empty for a run that counts.
        about: Seed, settings, versions: whatever it takes to run it again.
    """

    name: str
    policy: str
    load: float
    requests: list[RequestRecord]
    steps: list[StepRecord] = field(default_factory=list)
    duration_s: float = 0.0
    computed_tokens: int = 0
    recomputed_tokens: int = 0
    num_preemptions: int = 0
    target: str = "simulator"
    offered_per_s: float | None = None
    invalid: str = ""
    about: dict[str, Any] = field(default_factory=dict)


def fault_of(request: RequestRecord) -> str:
    """Return what no client can have measured; empty for a record that can be true."""
    moments = [request.sent_s, request.planned_s, request.ended_s, request.first_segment_s]
    moments += [request.cancelled_s, request.cancel_acked_s, *request.token_times_s[-1:]]
    if not all(abs(moment) <= _MOST_S for moment in moments if moment is not None):
        return f"a time is beyond {_MOST_S:g} s"
    if any(
        later < earlier for earlier, later in pairwise([request.sent_s, *request.token_times_s])
    ):
        return "token_times_s is not in order, or begins before sent_s"
    if not request.tokens_per_s >= _SLOWEST:
        return f"tokens_per_s is {request.tokens_per_s:g}, not {_SLOWEST:g} or more"
    if request.reserve_tokens < 1:
        return f"reserve_tokens is {request.reserve_tokens}, not 1 or more"
    if request.finish not in _FINISHES:
        return f"finish is {request.finish!r:.40}, none of {', '.join(filter(None, _FINISHES))}"
    if not all(math.isfinite(ms) and abs(ms) <= 1e3 * _MOST_S for ms in request.server_ms.values()):
        return f"a time in server_ms is beyond {_MOST_S:g} s"
    return ""


def as_rows(requests: Iterable[RequestRecord]) -> list[dict[str, Any]]:
    """Return requests as JSON objects, for ``requests.jsonl``."""
    return [asdict(request) for request in requests]
