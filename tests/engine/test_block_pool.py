"""Blocks are free or held, and reused in the right order."""

from __future__ import annotations

import random

import pytest

from engine.kv_cache.block_pool import BlockPool


def make_pool(num_blocks: int = 4) -> tuple[BlockPool, set[int], list[int]]:
    """Return a pool, the set of blocks that hold a prefix, and the log of those given up."""
    prefixes: set[int] = set()
    reused: list[int] = []

    def give_up(block_id: int) -> None:
        prefixes.discard(block_id)
        reused.append(block_id)

    return (
        BlockPool(num_blocks, holds_prefix=prefixes.__contains__, on_reuse=give_up),
        prefixes,
        reused,
    )


def test_taking_more_than_is_free_changes_nothing() -> None:
    """All or nothing."""
    pool, _, _ = make_pool(4)
    pool.take(3)
    assert pool.take(2) is None
    assert pool.num_free == 1


def test_blank_blocks_are_used_before_cached_ones() -> None:
    """A reusable prefix is given up only when nothing blank is left."""
    pool, prefixes, reused = make_pool(3)
    first, second = pool.take(2) or []
    prefixes.add(first)
    pool.release([first, second])
    pool.take(2)
    assert reused == []
    assert pool.take(1) == [first]
    assert reused == [first]


def test_the_block_released_first_is_reused_first() -> None:
    """Eviction is least recently used."""
    pool, prefixes, reused = make_pool(3)
    blocks = pool.take(3) or []
    prefixes.update(blocks)
    pool.release([blocks[1], blocks[0], blocks[2]])
    pool.take(3)
    assert reused == [blocks[1], blocks[0], blocks[2]]


def test_a_shared_block_is_free_only_when_the_last_owner_lets_go() -> None:
    """References are counted."""
    pool, _, _ = make_pool(1)
    blocks = pool.take(1) or []
    pool.share(blocks)
    pool.release(blocks)
    assert pool.num_free == 0
    pool.release(blocks)
    assert pool.num_free == 1


def test_sharing_a_cached_free_block_takes_it_off_the_free_list() -> None:
    """A revived block can not be handed to somebody else."""
    pool, prefixes, reused = make_pool(1)
    blocks = pool.take(1) or []
    prefixes.update(blocks)
    pool.release(blocks)
    pool.share(blocks)
    assert pool.take(1) is None
    assert reused == []


def test_blank_all_gives_up_every_free_prefix() -> None:
    """After it, nothing free is reusable and nothing is lost."""
    pool, prefixes, reused = make_pool(2)
    blocks = pool.take(2) or []
    prefixes.update(blocks)
    pool.release(blocks)
    pool.blank_all()
    assert (pool.num_cached, pool.num_free, sorted(reused)) == (0, 2, sorted(blocks))
    pool.check_integrity()


def test_releasing_a_free_block_is_a_bug_and_says_so() -> None:
    """Counting below zero would hand a block out twice."""
    pool, _, _ = make_pool(1)
    with pytest.raises(AssertionError, match="nobody holds"):
        pool.release([0])


@pytest.mark.parametrize("seed", range(20))
def test_random_histories_keep_the_pool_whole(seed: int) -> None:
    """Whatever owners do, each block stays free or held."""
    rng = random.Random(seed)
    pool, prefixes, _ = make_pool(12)
    held: list[list[int]] = []
    for _ in range(200):
        match rng.randrange(4):
            case 0:
                if taken := pool.take(rng.randrange(1, 5)):
                    held.append(taken)
                    prefixes.update(rng.sample(taken, rng.randrange(len(taken) + 1)))
            case 1 if held:
                pool.release(held.pop(rng.randrange(len(held))))
            case 2 if held:
                shared = list(rng.choice(held))
                pool.share(shared)
                held.append(shared)
            case 3:
                pool.blank_all() if rng.random() < 0.1 else None
        pool.check_integrity()
    for blocks in held:
        pool.release(blocks)
    pool.check_integrity()
    assert pool.num_free == 12
