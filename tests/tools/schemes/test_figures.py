"""What was served and when, summed up."""

from __future__ import annotations

from tools.bench.schemes.figures import Served, sum_up


def test_figures_count_from_arrival() -> None:
    """Throughput is over the time from the first arrival to the last end."""
    served = [Served(0.0, 0.5, 1.0, 10), Served(1.0, 3.0, 5.0, 30)]
    assert sum_up(served, 7.0) == {
        "tokens_per_second": 8.0,
        "latency_p50_ms": 1000.0,
        "latency_p99_ms": 4000.0,
        "ttft_p50_ms": 500.0,
        "ttft_p99_ms": 2000.0,
        "memory_mib": 7.0,
    }
