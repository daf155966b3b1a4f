"""What is kept in host memory, and what may be given up for it."""

from __future__ import annotations

import random

from engine.kv_cache.host_tier import HostTier


def test_a_block_that_was_kept_can_be_fetched() -> None:
    """It is moved out once, and stays after it has come back."""
    tier = HostTier(2)
    tier.keep(7, b"a")
    ((block, slot),) = tier.take_offloads()
    assert block == 7
    assert tier.fetch([b"a"]) == [slot]
    tier.keep(9, b"a")
    assert tier.take_offloads() == []


def test_fetching_stops_at_the_first_gap() -> None:
    """A block without the one before it is of no use."""
    tier = HostTier(3)
    tier.keep(1, b"a")
    tier.keep(2, b"c")
    assert len(tier.fetch([b"a", b"b", b"c"])) == 1


def test_the_least_recently_used_block_is_given_up() -> None:
    """Fetching counts as use."""
    tier = HostTier(2)
    for block, name in ((1, b"a"), (2, b"b")):
        tier.keep(block, name)
        tier.take_offloads()
    tier.fetch([b"a"])
    tier.take_offloads()
    tier.keep(3, b"c")
    assert (b"a" in tier, b"b" in tier, b"c" in tier) == (True, False, True)


def test_what_a_plan_fetches_is_not_overwritten_by_the_same_plan() -> None:
    """The block that would need its slot is given up instead."""
    tier = HostTier(1)
    tier.keep(1, b"a")
    tier.take_offloads()
    tier.fetch([b"a"])
    tier.keep(2, b"b")
    assert tier.take_offloads() == []
    assert b"b" not in tier
    tier.keep(2, b"b")
    assert len(tier.take_offloads()) == 1


def test_without_slots_it_does_nothing() -> None:
    """As on a CPU."""
    tier = HostTier(0)
    tier.keep(1, b"a")
    assert (tier.take_offloads(), tier.fetch([b"a"]), len(tier)) == ([], [], 0)


def test_random_histories_keep_the_books_and_the_content() -> None:
    """A slot that is fetched holds what was last moved into it under that name."""
    rng = random.Random(5)
    tier = HostTier(4)
    content: dict[int, bytes] = {}
    for _ in range(3000):
        name = bytes([rng.randrange(10)])
        match rng.randrange(4):
            case 0 | 1:
                tier.keep(rng.randrange(50), name)
            case 2:
                for slot in tier.fetch([name]):
                    queued = {s: h for h, s in tier._slots.items()}
                    assert content.get(slot) == name or queued[slot] == name
            case 3:
                names = {slot: h for h, slot in tier._slots.items()}
                for _, slot in tier.take_offloads():
                    content[slot] = names[slot]
                for h, slot in tier._slots.items():
                    assert content[slot] == h
        tier.check_integrity()
    tier.forget_all()
    assert (len(tier), tier.take_offloads()) == (0, [])
