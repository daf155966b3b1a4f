"""Who may join, as far as rows and blocks go."""

from __future__ import annotations

from engine.kv_cache.manager import KVCacheManager
from engine.request import Listener, Request
from engine.scheduler.admission import Admission
from engine.scheduler.batch import Batch
from tests.engine.scheduler.requests import make_request


def make_rooms(
    *, num_blocks: int = 10, num_slots: int = 4, max_rows: int = 2
) -> tuple[KVCacheManager, Batch, Admission]:
    """A ledger with blocks of 16, a batch, and the account of what it needs."""
    kv_cache = KVCacheManager(num_blocks, block_size=16)
    batch = Batch(num_slots, max_rows, 16)
    return kv_cache, batch, Admission(kv_cache, batch, max_rows=max_rows)


def join(rooms: tuple[KVCacheManager, Batch, Admission], request: Request) -> None:
    """Let a request join."""
    kv_cache, batch, admission = rooms
    assert kv_cache.admit(request) is not None
    batch.join(request, step=1)
    admission.joined(request)
    admission.check_integrity()


def test_whoever_is_alone_may_always_join() -> None:
    """Nobody else could make room; that it fits at all was checked before."""
    _, _, admission = make_rooms()
    assert admission.has_blocks(make_request(num_prompt=150, max_tokens=1000))


def test_room_is_kept_for_what_the_others_will_grow_by() -> None:
    """A prompt that fits now but would soon be preempted waits."""
    rooms = make_rooms()
    join(rooms, make_request("first", num_prompt=64, max_tokens=60))
    assert not rooms[2].has_blocks(make_request("long", num_prompt=80, max_tokens=60))
    assert rooms[2].has_blocks(make_request("short", num_prompt=30, max_tokens=60))


def test_the_expected_growth_shrinks_as_replies_grow() -> None:
    """Token by token, and not below nothing."""
    rooms = make_rooms()
    request = make_request(max_tokens=3)
    join(rooms, request)
    outlooks = []
    for _ in range(5):
        request.token_ids.append(1)
        rooms[2].grew(request)
        outlooks.append(rooms[2].outlook)
    assert outlooks == [2, 1, 0, 0, 0]


def test_beyond_the_rows_only_streams_join_that_can_take_turns() -> None:
    """Listeners of five tokens per second need a tenth of a row each with steps of 20 ms."""
    rooms = make_rooms(num_slots=8, max_rows=2)
    listener = Listener(tokens_per_s=5.0)
    for name in "ab":
        request = make_request(name, listener=listener)
        join(rooms, request)
        request.num_planned_tokens = request.num_tokens
        rooms[1].begin_decoding(request, 100)
        rooms[1].sleep(request)
    assert rooms[2].has_row(make_request("c", listener=listener), 0.02)
    assert not rooms[2].has_row(make_request("d", listener=None), 0.4)
