"""Replies by how they ended: completed, incomplete and errored are never mixed into one number.

A mean over all of them can be made good by failing fast; guidellm keeps the same three apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clients.replay.figures.distribution import Distribution, distribution
from clients.replay.figures.timings import (
    DONE,
    e2e_s,
    first_segment_s,
    gaps,
    last_token_s,
    ntpot_s,
    num_output_tokens,
    tpot_s,
    ttst_s,
)
from clients.replay.records import RequestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeFigures:
    """Replies that ended alike; seconds, as ``clients.replay.figures.timings`` defines them.

    Attributes:
        count: How many replies.
        tokens: Of them together.
        requests_per_s: Per second of the run.
        tokens_per_s: Per second of the run.
        ttft_s: Time to the first token.
        ttst_s: From the first piece to the second.
        itl_s: Every gap between two pieces.
        tpot_s: Time per output token after the first.
        ntpot_s: End to end over output tokens.
        first_segment_s: Until a voice could begin to speak.
        last_token_s: Time to the last token.
        e2e_s: Time to the terminal event.
    """

    count: int
    tokens: int
    requests_per_s: float
    tokens_per_s: float
    ttft_s: Distribution
    ttst_s: Distribution
    itl_s: Distribution
    tpot_s: Distribution
    ntpot_s: Distribution
    first_segment_s: Distribution
    last_token_s: Distribution
    e2e_s: Distribution


def completed(requests: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Return the replies that came to their end."""
    return [r for r in requests if r.finish in DONE]


def incomplete(requests: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Return those that were cancelled, and those whose end never came."""
    return [r for r in requests if not r.finish or r.finish == "abort"]


def errored(requests: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Return those that failed or were turned away."""
    return [r for r in requests if r.finish == "error"]


def outcome_figures(requests: Sequence[RequestRecord], duration_s: float) -> OutcomeFigures:
    """Measure replies of one kind in a run of so many seconds, more than 0."""
    tokens = sum(num_output_tokens(r) for r in requests)
    return OutcomeFigures(
        count=len(requests),
        tokens=tokens,
        requests_per_s=len(requests) / duration_s,
        tokens_per_s=tokens / duration_s,
        ttft_s=distribution(r.ttft_s for r in requests),
        ttst_s=distribution(ttst_s(r) for r in requests),
        itl_s=distribution(gap for r in requests for gap in gaps(r)),
        tpot_s=distribution(tpot_s(r) for r in requests),
        ntpot_s=distribution(ntpot_s(r) for r in requests),
        first_segment_s=distribution(first_segment_s(r) for r in requests),
        last_token_s=distribution(last_token_s(r) for r in requests),
        e2e_s=distribution(e2e_s(r) for r in requests),
    )
