"""What a reply cost."""

from __future__ import annotations

from engine.outputs import RequestDelta
from server.session.measures import ReplyClock


def delta(count: int) -> RequestDelta:
    """A step's news after so many tokens."""
    return RequestDelta("r", "", [], num_output_tokens=count, num_prompt_tokens=7, queue_s=0.5)


def test_nothing_is_known_before_the_first_delta() -> None:
    """Only that time passes."""
    clock = ReplyClock(10.0)
    assert clock.usage().total_tokens == 0
    metrics = clock.metrics(11.5)
    assert (metrics.ttft_ms, metrics.queue_ms, metrics.total_ms) == (None, None, 1500.0)


def test_speed_is_that_after_the_first_token() -> None:
    """A step without tokens is no first token."""
    clock = ReplyClock(10.0)
    clock.note(delta(0), 10.5)
    clock.note(delta(1), 11.0)
    clock.note(delta(5), 13.0)
    metrics = clock.metrics(14.0)
    assert (metrics.ttft_ms, metrics.tokens_per_second, metrics.queue_ms) == (1000.0, 2.0, 500.0)
    assert clock.usage().total_tokens == 12
