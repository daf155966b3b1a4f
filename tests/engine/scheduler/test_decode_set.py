"""Streams that advance together: who begins a block when, and who ends when."""

from __future__ import annotations

import random

from engine.request import Request
from engine.scheduler.decode_set import DecodeSet
from tests.engine.scheduler.requests import make_request


def joined(decodes: DecodeSet, slot: int, planned: int, longest: int = 10**6) -> Request:
    """Let a request with so many planned tokens join."""
    request = make_request(f"r{slot}")
    request.slot, request.num_planned_tokens = slot, planned
    decodes.add(request, longest=longest)
    return request


def test_a_stream_begins_a_block_when_its_tokens_fill_the_last() -> None:
    """With blocks of four and six tokens planned, the third step needs the third block."""
    decodes = DecodeSet(block_size=4)
    request = joined(decodes, 0, planned=6)
    grown = []
    for _ in range(8):
        grown.append(decodes.growing())
        decodes.advance()
    assert grown == [[], [], [(request, 9)], [], [], [], [(request, 13)], []]


def test_a_stream_leaves_with_its_last_token() -> None:
    """Five planned, nine at most: three more steps sample the seventh to the ninth."""
    decodes = DecodeSet(block_size=4)
    request = joined(decodes, 0, planned=5, longest=9)
    ended = []
    while len(decodes):
        ended.append(decodes.advance())
    assert ended == [[], [], [request]]
    assert request.num_planned_tokens == 8


def test_who_is_taken_out_is_written_down_and_can_come_back() -> None:
    """A stream that sits out some steps goes on where it was."""
    decodes = DecodeSet(block_size=4)
    request = joined(decodes, 0, planned=3)
    decodes.advance()
    decodes.remove(request)
    assert request.num_planned_tokens == 4
    decodes.advance()
    decodes.add(request, longest=100)
    assert decodes.growing() == [(request, 5)]


def test_the_slots_are_the_same_object_until_they_change() -> None:
    """A steady batch costs nothing to tell again."""
    decodes = DecodeSet(block_size=4)
    joined(decodes, 3, planned=3)
    slots = decodes.slots
    decodes.advance()
    assert decodes.slots is slots
    joined(decodes, 5, planned=1)
    assert decodes.slots == (3, 5)


def test_random_histories_agree_with_counting_each_stream() -> None:
    """Calendars and sums say what counting every member at every step would."""
    rng = random.Random(7)
    decodes = DecodeSet(block_size=4)
    planned: dict[Request, int] = {}
    longest: dict[Request, int] = {}
    free = list(range(12))
    for _ in range(2000):
        decodes.check_integrity()
        if free and rng.random() < 0.3:
            start = rng.randint(1, 20)
            limit = start + rng.randint(2, 20)
            request = joined(decodes, free.pop(), start, limit)
            planned[request], longest[request] = start, limit
        if planned and rng.random() < 0.1:
            gone = rng.choice(list(planned))
            decodes.remove(gone)
            assert gone.num_planned_tokens == planned.pop(gone)
            free.append(gone.slot)
        assert decodes.num_kv_tokens == sum(count + 1 for count in planned.values())
        due = {(r, count + 1) for r, count in planned.items() if count % 4 == 0}
        assert set(decodes.growing()) == due
        ended = set(decodes.advance())
        planned = {r: count + 1 for r, count in planned.items()}
        assert ended == {r for r, count in planned.items() if count == longest[r] - 1}
        for request in ended:
            del planned[request]
            free.append(request.slot)
