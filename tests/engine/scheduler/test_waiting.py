"""The queue: order, followers, and leaving from the middle."""

from __future__ import annotations

import random

from engine.scheduler.waiting import WaitingQueue
from tests.engine.scheduler.requests import make_request


def drain(queue: WaitingQueue) -> list[str]:
    """Take everybody who can be had, in order."""
    names = []
    while (request := queue.head()) is not None:
        queue.remove(request)
        names.append(request.request_id)
    return names


def test_the_smallest_key_is_first_and_equals_go_by_arrival() -> None:
    """The key decides, then the sequence number in it."""
    queue = WaitingQueue()
    for name, key in (("late", 2.0), ("soon", 1.0), ("next", 1.0)):
        queue.push(make_request(name, key=key))
    assert drain(queue) == ["soon", "next", "late"]


def test_a_follower_is_passed_over_until_its_block_is_there() -> None:
    """Then it has its old place again."""
    queue = WaitingQueue()
    for name, key in (("first", 1.0), ("second", 2.0)):
        queue.push(make_request(name, key=key))
    queue.follow(b"block")
    head = queue.head()
    assert head is not None
    assert (head.request_id, len(queue)) == ("second", 2)
    queue.block_ready(b"block")
    assert drain(queue) == ["first", "second"]


def test_a_follower_that_has_left_does_not_come_back() -> None:
    """An abort while following leaves nothing behind."""
    queue = WaitingQueue()
    request = make_request()
    queue.push(request)
    queue.follow(b"block")
    queue.remove(request)
    queue.block_ready(b"block")
    assert (queue.head(), len(queue), queue.num_tokens) == (None, 0, 0)


def test_a_request_may_leave_and_come_back_with_more_tokens() -> None:
    """Its old entry in the heap is void."""
    queue = WaitingQueue()
    request = make_request(num_prompt=4)
    queue.push(request)
    queue.remove(request)
    request.token_ids += [1, 2]
    queue.push(request)
    assert queue.num_tokens == 6
    assert drain(queue) == ["r"]


def test_random_histories_keep_the_books() -> None:
    """Pushes, removals, following and waking in any order."""
    rng = random.Random(3)
    queue = WaitingQueue()
    for step in range(1500):
        match rng.randrange(5):
            case 0 | 1:
                queue.push(make_request(f"r{step}", key=rng.random()))
            case 2 if queue.head() is not None:
                queue.follow(bytes([rng.randrange(4)]))
            case 3:
                queue.block_ready(bytes([rng.randrange(4)]))
            case _ if len(queue):
                queue.remove(rng.choice(queue.requests))
        queue.check_integrity()
