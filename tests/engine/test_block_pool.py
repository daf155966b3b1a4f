"""Blocks are free or held, and reused in the right order."""

from __future__ import annotations

import random

import pytest

from engine.kv_cache.block_pool import BlockPool
from engine.kv_cache.retention import Retention


def make_pool(num_blocks: int = 4) -> tuple[BlockPool, dict[int, Retention], list[int]]:
    """Return a pool, the classes of the blocks that are not blank, and the log of those reused."""
    classes: dict[int, Retention] = {}
    reused: list[int] = []

    def give_up(block_id: int) -> None:
        del classes[block_id]
        reused.append(block_id)

    def class_of(block_id: int) -> Retention:
        return classes.get(block_id, Retention.BLANK)

    return BlockPool(num_blocks, class_of=class_of, on_reuse=give_up), classes, reused


def test_taking_more_than_is_free_changes_nothing() -> None:
    """All or nothing."""
    pool, _, _ = make_pool(4)
    pool.take(3)
    assert pool.take(2) is None
    assert pool.num_free == 1


def test_blank_blocks_are_used_before_cached_ones() -> None:
    """A reusable prefix is given up only when nothing blank is left."""
    pool, classes, reused = make_pool(3)
    first, second = pool.take(2) or []
    classes[first] = Retention.CACHED
    pool.release([first, second])
    pool.take(2)
    assert reused == []
    assert pool.take(1) == [first]
    assert reused == [first]


def test_the_block_released_first_is_reused_first() -> None:
    """Eviction is least recently used."""
    pool, classes, reused = make_pool(3)
    blocks = pool.take(3) or []
    classes.update(dict.fromkeys(blocks, Retention.CACHED))
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
    pool, classes, reused = make_pool(1)
    blocks = pool.take(1) or []
    classes.update(dict.fromkeys(blocks, Retention.CACHED))
    pool.release(blocks)
    pool.share(blocks)
    assert pool.take(1) is None
    assert reused == []


def test_blank_all_gives_up_every_free_prefix() -> None:
    """After it, nothing free is reusable and nothing is lost."""
    pool, classes, reused = make_pool(2)
    blocks = pool.take(2) or []
    classes.update(dict.fromkeys(blocks, Retention.CACHED))
    pool.release(blocks)
    pool.blank_all()
    assert (pool.num_cached, pool.num_free, sorted(reused)) == (0, 2, sorted(blocks))
    pool.check_integrity()


def test_free_blocks_are_given_up_class_by_class() -> None:
    """Cached before warm before pinned, whichever came free first."""
    pool, classes, reused = make_pool(3)
    pinned, warm, cached = pool.take(3) or []
    classes |= {
        pinned: Retention.PINNED,
        warm: Retention.WARM,
        cached: Retention.CACHED,
    }
    pool.release([pinned, warm, cached])
    pool.take(3)
    assert reused == [cached, warm, pinned]


def test_a_refiled_block_is_given_up_with_its_new_class() -> None:
    """A block that is demoted no longer outlives those that it is now equal to."""
    pool, classes, reused = make_pool(2)
    first, second = pool.take(2) or []
    classes |= {first: Retention.PINNED, second: Retention.WARM}
    pool.release([first, second])
    classes[first] = Retention.CACHED
    pool.refile([first])
    assert (pool.num_free_of(Retention.PINNED), pool.num_free_of(Retention.CACHED)) == (0, 1)
    pool.take(1)
    assert reused == [first]


def test_refiling_a_held_block_does_nothing() -> None:
    """Its class counts when it comes free."""
    pool, _, _ = make_pool(2)
    pool.refile(pool.take(1) or [])
    pool.check_integrity()
    assert pool.num_free == 1


def test_releasing_a_free_block_is_a_bug_and_says_so() -> None:
    """Counting below zero would hand a block out twice."""
    pool, _, _ = make_pool(1)
    with pytest.raises(AssertionError, match="nobody holds"):
        pool.release([0])


@pytest.mark.parametrize("seed", range(20))
def test_random_histories_keep_the_pool_whole(seed: int) -> None:
    """Whatever owners do, each block stays free or held."""
    rng = random.Random(seed)
    pool, classes, _ = make_pool(12)
    held: list[list[int]] = []
    for _ in range(200):
        match rng.randrange(5):
            case 0:
                if taken := pool.take(rng.randrange(1, 5)):
                    held.append(taken)
                    for block_id in rng.sample(taken, rng.randrange(len(taken) + 1)):
                        classes[block_id] = rng.choice(list(Retention)[1:])
            case 1 if held:
                pool.release(held.pop(rng.randrange(len(held))))
            case 2 if held:
                shared = list(rng.choice(held))
                pool.share(shared)
                held.append(shared)
            case 3:
                pool.blank_all() if rng.random() < 0.1 else None
            case 4 if classes:
                block_id = rng.choice(list(classes))
                classes[block_id] = Retention.CACHED
                pool.refile([block_id])
        pool.check_integrity()
    for blocks in held:
        pool.release(blocks)
    pool.check_integrity()
    assert pool.num_free == 12
