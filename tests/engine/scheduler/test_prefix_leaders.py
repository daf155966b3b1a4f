"""Who computes a prefix, and who waits for it."""

from __future__ import annotations

from engine.scheduler.prefix_leaders import PrefixLeaders
from engine.scheduler.waiting import WaitingQueue
from tests.engine.scheduler.requests import make_request


def test_followers_wake_with_the_block_that_they_wait_for() -> None:
    """Not before, and not with all of the leader's prompt."""
    queue = WaitingQueue()
    leaders = PrefixLeaders(queue, block_size=4)
    leader, follower = make_request("leader", 12), make_request("follower", 8)
    leaders.lead(leader, [b"0", b"1", b"2"])
    queue.push(follower)
    assert leaders.is_computing(b"1")
    queue.follow(b"1")
    leader.num_computed_tokens = 7
    leaders.advance(leader)
    assert (queue.head(), leaders.is_computing(b"0")) == (None, False)
    leader.num_computed_tokens = 8
    leaders.advance(leader)
    assert queue.head() is follower
    leaders.check_integrity()


def test_a_leader_that_leaves_wakes_everybody() -> None:
    """One of them leads next."""
    queue = WaitingQueue()
    leaders = PrefixLeaders(queue, block_size=4)
    leader, follower = make_request("leader", 8), make_request("follower", 8)
    leaders.lead(leader, [b"0", b"1"])
    queue.push(follower)
    queue.follow(b"0")
    leaders.resign(leader)
    assert queue.head() is follower
    assert not leaders.is_computing(b"1")
    leaders.check_integrity()
