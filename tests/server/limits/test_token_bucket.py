"""The bucket lets a burst through and then keeps to the rate."""

from __future__ import annotations

import math

import pytest

from server.limits.token_bucket import TokenBucket


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


def test_waiting_can_be_asked_for_without_taking() -> None:
    """The answer is the same twice, and true."""
    bucket = TokenBucket(rate=2, burst=4, now=0)
    bucket.take(0, 4)
    assert bucket.wait_for(0, 3) == bucket.wait_for(0, 3) == pytest.approx(1.5)
    assert bucket.wait_for(1.5, 3) == 0


def test_more_than_it_holds_never_comes() -> None:
    """However long one waits."""
    assert TokenBucket(rate=2, burst=4, now=0).wait_for(1e9, 5) == math.inf


def test_a_debt_is_waited_off() -> None:
    """More may be taken than there is; everybody after that waits longer."""
    bucket = TokenBucket(rate=1, burst=10, now=0)
    bucket.take(0, 15)
    assert bucket.level(0) == -5
    assert bucket.wait_for(0) == 6


def test_what_is_given_back_does_not_run_over() -> None:
    """The brim stays where it is."""
    bucket = TokenBucket(rate=1, burst=10, now=0)
    bucket.take(0, 4)
    bucket.give_back(0, 100)
    assert bucket.level(0) == 10


def test_it_says_when_it_is_full() -> None:
    """From a debt, too."""
    bucket = TokenBucket(rate=2, burst=10, now=0)
    bucket.take(0, 14)
    assert bucket.full_in(1) == 6
    assert bucket.full_in(7) == 0
