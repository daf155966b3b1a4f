"""Who sleeps, and until when."""

from __future__ import annotations

import pytest

from engine.request import Listener, Request, RequestStatus
from engine.scheduler.batch import Batch
from engine.scheduler.pacer import MAX_STEP_S, Pacer, spare_s
from tests.engine.scheduler.requests import make_request

LISTENER = Listener(tokens_per_s=2.0, reserve_s=1.0)


def stream(
    batch: Batch, name: str, num_delivered: int, listener: Listener | None = LISTENER
) -> Request:
    """Let a stream decode whose listener has been sent so many tokens at second 0."""
    request = make_request(name, listener=listener)
    batch.join(request, step=1)
    request.num_planned_tokens = request.num_tokens
    batch.begin_decoding(request, longest=100)
    for _ in range(num_delivered if request.playback else 0):
        assert request.playback is not None
        request.playback.deliver(0.0)
    return request


def make_batch(max_rows: int = 8) -> Batch:
    """Room for eight."""
    return Batch(num_slots=8, max_rows=max_rows, block_size=4)


def test_only_streams_with_a_comfortable_lead_sleep() -> None:
    """The reserve is not to be touched, and who takes all it can get never sleeps."""
    batch = make_batch()
    ahead, close = stream(batch, "ahead", 10), stream(batch, "close", 2)
    greedy = stream(batch, "greedy", 0, None)
    Pacer(batch).put_to_sleep(0.0)
    statuses = [r.status for r in (ahead, close, greedy)]
    assert statuses == [RequestStatus.ASLEEP, RequestStatus.DECODING, RequestStatus.DECODING]


def test_a_sleeper_wakes_when_only_the_reserve_is_left() -> None:
    """Ten tokens at two per second last five seconds; one of them is the reserve."""
    batch = make_batch()
    request = stream(batch, "ahead", 10)
    pacer = Pacer(batch)
    pacer.put_to_sleep(0.0)
    assert pacer.wake_due(3.8, horizon_s=0.1, everybody=False) == []
    assert pacer.wake_due(3.95, horizon_s=0.1, everybody=False) == [request]


def test_everybody_wakes_when_nobody_is_at_risk() -> None:
    """Sleeping is for somebody's sake, never for its own."""
    batch = make_batch()
    request = stream(batch, "ahead", 10)
    pacer = Pacer(batch)
    pacer.put_to_sleep(0.0)
    assert pacer.wake_due(0.1, horizon_s=0.0, everybody=True) == [request]


def test_an_urgent_stream_takes_the_row_of_who_is_furthest_ahead() -> None:
    """And not of somebody who is hardly better off."""
    batch = make_batch(max_rows=3)
    ahead, close = stream(batch, "ahead", 10), stream(batch, "close", 3)
    urgent = stream(batch, "urgent", 2)
    batch.sleep(urgent)
    pacer = Pacer(batch)
    assert pacer.replace(urgent, 0.0)
    assert ahead.status is RequestStatus.ASLEEP
    assert close.status is RequestStatus.DECODING
    assert not pacer.replace(close, 0.4)


def test_what_all_can_spare_is_what_the_poorest_of_those_awake_can() -> None:
    """A step may take that long without anybody noticing, up to a bound."""
    batch = make_batch()
    pacer = Pacer(batch)
    pacer.put_to_sleep(0.0)
    assert pacer.spare_s == MAX_STEP_S
    request = stream(batch, "close", 2)
    pacer.put_to_sleep(-0.1)
    assert pacer.spare_s == pytest.approx(spare_s(request, -0.1)) == pytest.approx(0.1)
    stream(batch, "greedy", 0, None)
    pacer.put_to_sleep(0.0)
    assert pacer.spare_s == 0.0
