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


def test_batches_are_those_that_brought_tokens() -> None:
    """A step that brought none, or of unknown size, does not count; preemptions are the last."""
    clock = ReplyClock(10.0)
    for tokens, size, preemptions in (([], 9, 0), ([1], 2, 0), ([1, 2], 5, 1), ([3], 0, 1)):
        told = RequestDelta("r", "", tokens, batch_size=size, num_preemptions=preemptions)
        clock.note(told, 11.0)
    metrics = clock.metrics(12.0)
    assert metrics.batch is not None
    assert (metrics.batch.mean, metrics.batch.max, metrics.preemptions) == (3.5, 5, 1)


def test_reading_the_prompt_is_what_waiting_leaves_of_the_first_token() -> None:
    """Never less than nothing, as the two are measured by different clocks."""
    clock = ReplyClock(10.0)
    clock.note(delta(1), 10.75)
    assert clock.metrics(11.0).prefill_ms == 250.0
    early = ReplyClock(10.0)
    early.note(delta(1), 10.25)
    assert early.metrics(11.0).prefill_ms == 0.0
