"""Where a response's time went."""

from __future__ import annotations

import pytest

from server.response_times import ResponseTimes


def times(
    first: float | None, last: float | None, ended: float = 9.0, queue: float = 1.0
) -> ResponseTimes:
    """A response that was submitted at 2."""
    return ResponseTimes(2.0, first, last, ended, queue)


def test_a_whole_response_has_four_parts() -> None:
    """Queue, prefill, decode and rest."""
    one = times(5.0, 8.0)
    assert (one.queue_s, one.prefill_s, one.decode_s, one.rest_s) == (1.0, 2.0, 3.0, 1.0)
    assert (one.ttft_s, one.inference_s, one.e2e_s) == (3.0, 5.0, 7.0)


@pytest.mark.parametrize(
    "one",
    [
        times(5.0, 8.0),
        times(5.0, 5.0, ended=5.0),
        times(5.0, 8.0, queue=-1.0),
        times(5.0, 8.0, queue=100.0),
        times(None, None),
        times(None, None, queue=100.0),
    ],
)
def test_the_parts_make_the_whole(one: ResponseTimes) -> None:
    """And none is less than nothing, whatever the engine says of the queue."""
    parts = (one.queue_s, one.prefill_s, one.decode_s, one.rest_s)
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(one.e2e_s)


def test_without_a_token_nothing_was_inferred() -> None:
    """What was called off while it waited has a queue and a rest."""
    one = times(None, None, queue=3.0)
    assert (one.ttft_s, one.inference_s, one.queue_s, one.rest_s) == (None, 0.0, 3.0, 4.0)
