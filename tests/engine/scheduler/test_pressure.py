"""Who gives way when there is no block left."""

from __future__ import annotations

from engine.cost_model import StepCostModel
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import StepPlan
from engine.request import Listener, Request, RequestStatus
from engine.scheduler.batch import Batch
from engine.scheduler.ends import Ends
from engine.scheduler.pressure import Paused, Pressure, Victims
from engine.scheduler.waiting import WaitingQueue
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


class Room:
    """A budget of blocks of four tokens; each stream holds one and needs a second one now."""

    def __init__(self, num_blocks: int, *, pauses: bool = True, max_rows: int = 4) -> None:
        self.kv_cache = KVCacheManager(num_blocks, block_size=4, enable_prefix_caching=False)
        self.batch = Batch(num_slots=4, max_rows=max_rows, block_size=4)
        self.queue = WaitingQueue()
        self.step_in_flight: int | None = None
        self.pressure = Pressure(
            self.kv_cache,
            self.batch,
            self.queue,
            Ends(100, 100, ()),
            StepCostModel(),
            pauses=pauses,
            leave_batch=self.leave,
        )

    def leave(self, request: Request) -> None:
        """Take a request out as the scheduler does."""
        self.batch.leave(request)
        self.kv_cache.free(request, defer_until=self.step_in_flight)

    def stream(self, name: str, *, key: float, num_delivered: int = 0) -> Request:
        """Let a stream with four computed tokens decode."""
        request = stream(self.batch, name, key=key, num_delivered=num_delivered)
        assert self.kv_cache.admit(request) is not None
        request.num_computed_tokens = request.num_tokens
        return request

    def grow(self) -> StepPlan:
        """Get blocks for one step."""
        plan = StepPlan(step=1)
        self.pressure.grow_decodes(plan, 0.0)
        self.batch.check_integrity()
        self.kv_cache.check_integrity()
        return plan


def test_every_stream_gets_its_block_while_there_are_any() -> None:
    """Best ranks first, and nobody loses anything."""
    room = Room(4)
    second, first = room.stream("second", key=2.0), room.stream("first", key=1.0)
    plan = room.grow()
    assert [slot for slot, _ in plan.new_blocks] == [first.slot, second.slot]
    assert plan.preempted == []


def test_the_lowest_rank_waits_to_be_computed_again() -> None:
    """Its blocks go to who ranks before it, and what it loses is counted."""
    room = Room(3, pauses=False)
    room.stream("second", key=2.0)
    last, first = room.stream("last", key=3.0), room.stream("first", key=1.0)
    plan = room.grow()
    assert [slot for slot, _ in plan.new_blocks] == [first.slot]
    assert plan.preempted == ["last", "second"]
    assert len(room.queue) == 2
    assert last.status is RequestStatus.PREEMPTED
    assert (last.num_computed_tokens, last.num_lost_tokens) == (0, 4)
    assert room.pressure.num_pauses == 0


def test_a_stream_ahead_of_its_listener_is_paused_and_comes_back_in_time() -> None:
    """Ten seconds of speech are delivered: it needs nothing before they are nearly over."""
    room = Room(2)
    ahead = room.stream("ahead", key=1.0, num_delivered=20)
    needy = room.stream("needy", key=2.0)
    plan = room.grow()
    assert plan.preempted == ["ahead"]
    assert [slot for slot, _ in plan.new_blocks] == [needy.slot]
    assert (room.pressure.num_paused, room.pressure.num_pauses) == (1, 1)
    room.pressure.bring_back(5.0)
    assert room.queue.head() is None
    room.pressure.bring_back(9.999)
    assert room.queue.head() is ahead
    assert ahead.status is RequestStatus.PREEMPTED
    assert room.pressure.num_paused == 0


def test_a_paused_stream_comes_back_at_once_when_nobody_else_is_there() -> None:
    """There is nothing that it could take from anybody."""
    room = Room(2)
    ahead = room.stream("ahead", key=1.0, num_delivered=20)
    needy = room.stream("needy", key=2.0)
    room.grow()
    room.leave(needy)
    room.pressure.bring_back(0.1)
    assert room.queue.head() is ahead


def test_who_was_ended_while_paused_does_not_come_back() -> None:
    """It is counted out at once."""
    room = Room(2)
    ahead = room.stream("ahead", key=1.0, num_delivered=20)
    room.stream("needy", key=2.0)
    room.grow()
    room.pressure.forget_paused(ahead)
    ahead.status = RequestStatus.FINISHED
    room.pressure.bring_back(9.9)
    assert room.pressure.num_paused == len(room.queue) == 0


def test_nobody_loses_blocks_that_a_step_in_flight_is_about_to_give_back() -> None:
    """The stream sleeps for that step; it goes on where it was, as soon as it has a row."""
    room = Room(2, pauses=False)
    room.step_in_flight = 1
    left, needy = room.stream("left", key=2.0), room.stream("needy", key=1.0)
    room.leave(left)
    plan = room.grow()
    assert needy.status is RequestStatus.ASLEEP
    assert (plan.new_blocks, plan.preempted) == ([], [])
    room.kv_cache.end_step(1)
    room.pressure.bring_back(0.0)
    assert room.batch.decodes.requests == [needy]
    assert [slot for slot, _ in room.grow().new_blocks] == [needy.slot]


def test_a_stream_that_finds_no_row_sleeps_on() -> None:
    """Somebody took its row meanwhile; it is not forgotten."""
    room = Room(2, pauses=False, max_rows=1)
    room.step_in_flight = 1
    room.leave(room.stream("left", key=2.0))
    needy = room.stream("needy", key=1.0)
    room.grow()
    other = stream(room.batch, "other", key=0.0)
    room.pressure.bring_back(0.0)
    assert needy.status is RequestStatus.ASLEEP
    room.batch.leave(other)
    room.pressure.bring_back(0.0)
    assert room.batch.decodes.requests == [needy]


def test_who_was_ended_while_it_slept_is_not_woken() -> None:
    """It holds nothing any longer."""
    room = Room(2, pauses=False)
    room.step_in_flight = 1
    room.leave(room.stream("left", key=2.0))
    needy = room.stream("needy", key=1.0)
    room.grow()
    room.leave(needy)
    needy.status = RequestStatus.FINISHED
    room.pressure.bring_back(0.0)
    assert len(room.batch) == 0
