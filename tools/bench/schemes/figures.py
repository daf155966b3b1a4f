"""What was served and when, summed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from tools.bench.timing import percentile


@dataclass(frozen=True, slots=True)
class Served:
    """One reply; seconds from the start of the trace.

    Attributes:
        start_s: When the request arrived, or should have.
        first_s: When its first token was there for the caller.
        end_s: When its last one was.
        tokens: Of the reply.
    """

    start_s: float
    first_s: float
    end_s: float
    tokens: int


class Figures(TypedDict):
    """What one scheme comes to at one rate; times in milliseconds, memory in MiB."""

    tokens_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float
    ttft_p50_ms: float
    ttft_p99_ms: float
    memory_mib: float


def sum_up(served: Sequence[Served], memory_mib: float) -> Figures:
    """Return the figures of one pass.

    Throughput is all tokens over the time from the first arrival to the last end; latency is from
    arrival to end, queueing included.
    """
    duration = max(one.end_s for one in served) - min(one.start_s for one in served)
    latency = [1e3 * (one.end_s - one.start_s) for one in served]
    first = [1e3 * (one.first_s - one.start_s) for one in served]
    return {
        "tokens_per_second": sum(one.tokens for one in served) / duration,
        "latency_p50_ms": percentile(latency, 50),
        "latency_p99_ms": percentile(latency, 99),
        "ttft_p50_ms": percentile(first, 50),
        "ttft_p99_ms": percentile(first, 99),
        "memory_mib": memory_mib,
    }
