"""Prefixes are found exactly, by token and by salt."""

from __future__ import annotations

from engine.kv_cache.prefix_cache import PrefixCache, chain_hash, root_hash

SIZE = 4


def register_chain(
    cache: PrefixCache, tokens: list[int], blocks: list[int], salt: str = ""
) -> None:
    """Give consecutive blocks the identities of consecutive tokens."""
    parent = root_hash(salt)
    for index, block_id in enumerate(blocks):
        own = cache.register(block_id, parent, tokens[index * SIZE : (index + 1) * SIZE])
        parent = own or parent


def test_full_blocks_are_found_in_order() -> None:
    """The chain of equal blocks is returned, oldest first."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4, 5, 6, 7, 8], [7, 3])
    match = cache.match([1, 2, 3, 4, 5, 6, 7, 8, 9], "", 8)
    assert (match.block_ids, match.tail_block_id) == ([7, 3], None)


def test_the_same_tokens_after_another_beginning_are_not_shared() -> None:
    """A block's identity includes everything before it."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4, 5, 6, 7, 8], [0, 1])
    assert cache.match([9, 9, 9, 9, 5, 6, 7, 8], "", 8).block_ids == []


def test_another_salt_shares_nothing() -> None:
    """Tenants do not see each other's prefixes."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4], [0], salt="a")
    assert cache.match([1, 2, 3, 4], "b", 4).block_ids == []
    assert cache.match([1, 2, 3, 4], "a", 4).block_ids == [0]


def test_the_tail_is_exact_to_the_token() -> None:
    """A block that begins alike is offered for as many tokens as agree."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4, 5, 6, 7, 8], [0, 1])
    match = cache.match([1, 2, 3, 4, 5, 6, 0, 0], "", 8)
    assert (match.block_ids, match.tail_block_id, match.num_tail_tokens) == ([0], 1, 2)


def test_a_partial_block_serves_as_a_tail() -> None:
    """Prompts shorter than a block are shared too."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3], [5])
    match = cache.match([1, 2, 3, 9], "", 3)
    assert (match.tail_block_id, match.num_tail_tokens) == (5, 3)


def test_the_longest_tail_wins() -> None:
    """Of several continuations the one that agrees longest is taken."""
    cache = PrefixCache(SIZE)
    for block_id, tokens in enumerate([[1, 2, 9, 9], [1, 2, 3, 9], [1, 9, 9, 9]]):
        cache.register(block_id, root_hash(""), tokens)
    match = cache.match([1, 2, 3, 4], "", 4)
    assert (match.tail_block_id, match.num_tail_tokens) == (1, 3)


def test_no_more_than_max_tokens_are_matched() -> None:
    """The last token can be kept back to be computed."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4], [0])
    match = cache.match([1, 2, 3, 4], "", 3)
    assert (match.block_ids, match.tail_block_id, match.num_tail_tokens) == ([], 0, 3)


def test_a_second_block_with_the_same_content_gets_no_identity() -> None:
    """The first stays; both users know the same parent for what follows."""
    cache = PrefixCache(SIZE)
    first = cache.register(0, root_hash(""), [1, 2, 3, 4])
    second = cache.register(1, root_hash(""), [1, 2, 3, 4])
    assert first == second == chain_hash(root_hash(""), [1, 2, 3, 4])
    assert 1 not in cache


def test_a_forgotten_block_is_not_found_again() -> None:
    """What is evicted is gone from every index."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4, 5, 6, 7, 8], [0, 1])
    cache.forget(1)
    match = cache.match([1, 2, 3, 4, 5, 6, 7, 8], "", 8)
    assert (match.block_ids, match.tail_block_id) == ([0], None)
    cache.check_integrity()
