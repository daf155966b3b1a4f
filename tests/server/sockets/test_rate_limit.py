"""The bucket lets a burst through and then keeps to the rate."""

from __future__ import annotations

import pytest

from server.sockets.rate_limit import TokenBucket


def test_a_burst_is_free() -> None:
    """As many as the bucket holds need not wait."""
    bucket = TokenBucket(rate=10, burst=3, now=0)
    assert [bucket.take(0) for _ in range(3)] == [0, 0, 0]


def test_beyond_the_burst_one_waits_its_turn() -> None:
    """Each further one waits a tenth of a second more."""
    bucket = TokenBucket(rate=10, burst=1, now=0)
    waits = [bucket.take(0) for _ in range(3)]
    assert waits == pytest.approx([0, 0.1, 0.2])


def test_time_fills_the_bucket_but_no_further() -> None:
    """An hour of silence is worth one burst."""
    bucket = TokenBucket(rate=10, burst=2, now=0)
    assert [bucket.take(3600) for _ in range(3)] == pytest.approx([0, 0, 0.1])


def test_a_clock_that_stands_or_goes_back_does_no_harm() -> None:
    """Nothing is gained and nothing lost."""
    bucket = TokenBucket(rate=10, burst=2, now=100)
    assert bucket.take(50) == 0
    assert bucket.take(50) == 0
    assert bucket.take(50) == pytest.approx(0.1)
