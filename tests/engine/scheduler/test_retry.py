"""When to come back to a full queue."""

from __future__ import annotations

from engine.scheduler.retry import MAX_S, MIN_S, RetryAdvice


def test_the_advice_follows_how_fast_the_queue_moves() -> None:
    """Two joined per second, forty wait: half of them are through in ten seconds."""
    advice = RetryAdvice()
    for index in range(8):
        advice.joined(index * 0.5)
    assert advice.after(40) == 10.0


def test_the_advice_is_bounded_and_never_missing() -> None:
    """Nothing seen yet, or a queue that hardly moves."""
    advice = RetryAdvice()
    assert advice.after(1000) == MIN_S
    advice.joined(0.0)
    advice.joined(100.0)
    assert advice.after(1000) == MAX_S
