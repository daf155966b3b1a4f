"""A quick histogram shows what the library's own would."""

from __future__ import annotations

import random

from prometheus_client import CollectorRegistry, Histogram, generate_latest

import server.metrics  # noqa: F401  # switches lines off that nobody reads
from server.quick_histogram import QuickHistogram

BUCKETS = (0.001, 0.01, 0.1, 1, 2.5)


def test_it_shows_the_same_as_the_librarys_own() -> None:
    """Name by name and bucket by bucket, also for values on a bound and beyond the last."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    quick = QuickHistogram("gap_seconds", "Gaps.", BUCKETS, ours)
    usual = Histogram("gap_seconds", "Gaps.", buckets=BUCKETS, registry=theirs)
    rng = random.Random(0)
    for value in [*BUCKETS, 0.0, 7.0, *(rng.uniform(0, 3) for _ in range(100))]:
        quick.observe(value)
        usual.observe(value)
    assert generate_latest(ours) == generate_latest(theirs)


def test_it_shows_nothing_observed() -> None:
    """All buckets are there from the start."""
    registry = CollectorRegistry()
    QuickHistogram("gap_seconds", "Gaps.", BUCKETS, registry)
    assert registry.get_sample_value("gap_seconds_count") == 0
    assert registry.get_sample_value("gap_seconds_bucket", {"le": "+Inf"}) == 0
