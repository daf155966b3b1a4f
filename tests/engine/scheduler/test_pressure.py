"""Who gives way when there is no block left."""

from __future__ import annotations

from engine.request import Listener, Request
from engine.scheduler.batch import Batch
from engine.scheduler.pressure import Paused, Victims
from tests.engine.scheduler.requests import make_request


def stream(batch: Batch, name: str, *, key: float, num_delivered: int = 0) -> Request:
    """Let a stream decode; with tokens delivered somebody listens to two per second."""
    listener = Listener(tokens_per_s=2.0, reserve_s=0.0) if num_delivered else None
    request = make_request(name, key=key, listener=listener)
    batch.join(request, step=1)
    request.num_planned_tokens = request.num_tokens
    batch.begin_decoding(request, longest=100)
    for _ in range(num_delivered):
        assert request.playback is not None
        request.playback.deliver(0.0)
    return request


def test_the_stream_furthest_ahead_of_its_listener_pauses_first() -> None:
    """Whatever its rank: nobody will notice."""
    batch = Batch(num_slots=4, max_rows=4, block_size=4)
    needy = stream(batch, "needy", key=2.0)
    ahead = stream(batch, "ahead", key=0.0, num_delivered=20)
    stream(batch, "less", key=1.0, num_delivered=10)
    assert Victims(batch, pauses=True).choose(needy, set(), 0.0) == (ahead, True)


def test_without_a_lead_to_spare_the_lowest_rank_is_preempted() -> None:
    """And so it is where listeners are not looked at."""
    batch = Batch(num_slots=4, max_rows=4, block_size=4)
    needy = stream(batch, "needy", key=1.0)
    lowest = stream(batch, "lowest", key=2.0, num_delivered=1)
    stream(batch, "ahead", key=0.0, num_delivered=1)
    assert Victims(batch, pauses=True).choose(needy, set(), 0.0) == (lowest, False)
    assert Victims(batch, pauses=False).choose(needy, set(), 0.0) == (lowest, False)


def test_who_was_given_a_block_in_this_step_is_spared() -> None:
    """The needy one then gives way itself."""
    batch = Batch(num_slots=4, max_rows=4, block_size=4)
    needy = stream(batch, "needy", key=1.0)
    other = stream(batch, "other", key=2.0, num_delivered=20)
    chosen = Victims(batch, pauses=True).choose(needy, {other.slot}, 0.0)
    assert chosen == (needy, False)


def test_a_paused_stream_is_due_before_its_listener_runs_dry() -> None:
    """In the order of urgency, and all at once when there is room again."""
    paused = Paused()
    late, soon, gone = make_request("late"), make_request("soon"), make_request("gone")
    for request, due_at in ((late, 5.0), (soon, 2.0), (gone, 1.0)):
        paused.add(request, due_at)
    paused.remove(gone)
    gone.status = late.status.FINISHED
    assert paused.take_due(3.0, everybody=False) == [soon]
    assert len(paused) == 1
    assert paused.take_due(3.0, everybody=True) == [late]
