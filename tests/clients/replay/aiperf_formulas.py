"""What aiperf would report, written anew with numpy from the text of its formulas.

Read: ``aiperf/metrics/types`` of aiperf 0.13. Times there are whole nanoseconds. A record counts
when the request neither failed nor was cancelled, and brought something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clients.replay.records import RequestRecord

PERCENTS = (50, 90, 95, 99)


@dataclass(frozen=True)
class Record:
    """One request as aiperf parses it: when it began, and its content responses with tokens."""

    start_ns: int
    responses: list[tuple[int, int]]
    output_sequence_length: int


def parse(requests: Sequence[RequestRecord]) -> list[Record]:
    """Return the valid records of the same events, with usage told per chunk."""
    return [
        Record(
            start_ns=round(r.sent_s * 1e9),
            responses=sorted(Counter(round(at * 1e9) for at in r.token_times_s).items()),
            output_sequence_length=r.output_tokens or len(r.token_times_s),
        )
        for r in requests
        if r.finish in ("stop", "length") and r.token_times_s
    ]


def record_metrics(record: Record) -> dict[str, float]:
    """Return aiperf's metrics of one record by its tags, nanoseconds; absent where it has none."""
    (first_ns, first_tokens), last_ns = record.responses[0], record.responses[-1][0]
    found: dict[str, float] = {
        "time_to_first_token": first_ns - record.start_ns,
        "request_latency": last_ns - record.start_ns,
    }
    if len(record.responses) > 1:
        found["time_to_second_token"] = record.responses[1][0] - first_ns
    if record.output_sequence_length > 1:
        decoded = record.output_sequence_length - first_tokens
        if decoded < 1:
            decoded = record.output_sequence_length - 1
        window = found["request_latency"] - found["time_to_first_token"]
        found["inter_token_latency"] = window / decoded
    return found


def report(
    records: Sequence[Record], duration_s: float, goodput_ms: Mapping[str, float]
) -> dict[str, float]:
    """Return aiperf's figures: statistics per tag in milliseconds, and what is per second."""
    each = [record_metrics(record) for record in records]
    found: dict[str, float] = {}
    for tag in sorted({tag for metrics in each for tag in metrics}):
        values_ms = np.array([metrics[tag] for metrics in each if tag in metrics]) / 1e6
        found |= {f"{tag}_avg": float(values_ms.mean()), f"{tag}_std": float(values_ms.std())}
        found |= {f"{tag}_p{p}": float(np.percentile(values_ms, p)) for p in PERCENTS}
    chunks = np.concatenate([np.diff([at for at, _ in record.responses]) for record in records])
    found["inter_chunk_latency_avg"] = float(chunks.mean()) / 1e6
    found["inter_chunk_latency_p99"] = float(np.percentile(chunks, 99)) / 1e6
    # A record without one of the metrics keeps no objective.
    good = sum(
        all(metrics.get(tag, np.inf) <= limit_ms * 1e6 for tag, limit_ms in goodput_ms.items())
        for metrics in each
    )
    found["goodput"] = good / duration_s
    found["request_throughput"] = len(records) / duration_s
    total = sum(record.output_sequence_length for record in records)
    found["output_token_throughput"] = total / duration_s
    return found
