"""Prefixes are found exactly, by token and by salt."""

from __future__ import annotations

from engine.kv_cache.hash_chain import chain_hash, full_block_hashes, root_hash
from engine.kv_cache.prefix_cache import PrefixCache, PrefixMatch
from engine.request import EngineRequest, Request, Service
from engine.sampling_params import SamplingParams

SIZE = 4


def hashes_of(tokens: list[int], salt: str = "") -> list[bytes]:
    """Return the identities of the full blocks of some tokens."""
    hashes = []
    parent = root_hash(salt)
    for start in range(0, len(tokens) - SIZE + 1, SIZE):
        parent = chain_hash(parent, tokens[start : start + SIZE])
        hashes.append(parent)
    return hashes


def register_chain(
    cache: PrefixCache, tokens: list[int], blocks: list[int], salt: str = ""
) -> None:
    """Give consecutive blocks the identities of consecutive tokens."""
    hashes = hashes_of(tokens, salt)
    for index, block_id in enumerate(blocks):
        own = hashes[index] if index < len(hashes) else None
        parent = hashes[index - 1] if index else root_hash(salt)
        cache.register(block_id, parent, tokens[index * SIZE : (index + 1) * SIZE], own)


def match(cache: PrefixCache, tokens: list[int], salt: str, max_tokens: int) -> PrefixMatch:
    """Look some tokens up."""
    return cache.match(tokens, root_hash(salt), hashes_of(tokens, salt), max_tokens)


def test_full_blocks_are_found_in_order() -> None:
    """The chain of equal blocks is returned, oldest first."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4, 5, 6, 7, 8], [7, 3])
    found = match(cache, [1, 2, 3, 4, 5, 6, 7, 8, 9], "", 8)
    assert (found.block_ids, found.tail_block_id) == ([7, 3], None)


def test_the_same_tokens_after_another_beginning_are_not_shared() -> None:
    """A block's identity includes everything before it."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4, 5, 6, 7, 8], [0, 1])
    assert match(cache, [9, 9, 9, 9, 5, 6, 7, 8], "", 8).block_ids == []


def test_another_salt_shares_nothing() -> None:
    """Tenants do not see each other's prefixes."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4], [0], salt="a")
    assert match(cache, [1, 2, 3, 4], "b", 4).block_ids == []
    assert match(cache, [1, 2, 3, 4], "a", 4).block_ids == [0]


def test_the_tail_is_exact_to_the_token() -> None:
    """A block that begins alike is offered for as many tokens as agree."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4, 5, 6, 7, 8], [0, 1])
    found = match(cache, [1, 2, 3, 4, 5, 6, 0, 0], "", 8)
    assert (found.block_ids, found.tail_block_id, found.num_tail_tokens) == ([0], 1, 2)


def test_a_partial_block_serves_as_a_tail() -> None:
    """Prompts shorter than a block are shared too."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3], [5])
    found = match(cache, [1, 2, 3, 9], "", 3)
    assert (found.tail_block_id, found.num_tail_tokens) == (5, 3)


def test_the_longest_tail_wins() -> None:
    """Of several continuations the one that agrees longest is taken."""
    cache = PrefixCache(SIZE)
    for block_id, tokens in enumerate([[1, 2, 9, 9], [1, 2, 3, 9], [1, 9, 9, 9]]):
        cache.register(block_id, root_hash(""), tokens, hashes_of(tokens)[0])
    found = match(cache, [1, 2, 3, 4], "", 4)
    assert (found.tail_block_id, found.num_tail_tokens) == (1, 3)


def test_no_more_than_max_tokens_are_matched() -> None:
    """The last token can be kept back to be computed."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4], [0])
    found = match(cache, [1, 2, 3, 4], "", 3)
    assert (found.block_ids, found.tail_block_id, found.num_tail_tokens) == ([], 0, 3)


def test_a_second_block_with_the_same_content_gets_no_identity() -> None:
    """The first stays; both users know the same parent for what follows."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4], [0])
    [own] = hashes_of([1, 2, 3, 4])
    assert not cache.register(1, root_hash(""), [1, 2, 3, 4], own)
    assert 0 in cache
    assert 1 not in cache


def test_a_forgotten_block_is_not_found_again() -> None:
    """What is evicted is gone from every index."""
    cache = PrefixCache(SIZE)
    register_chain(cache, [1, 2, 3, 4, 5, 6, 7, 8], [0, 1])
    cache.forget(1)
    found = match(cache, [1, 2, 3, 4, 5, 6, 7, 8], "", 8)
    assert (found.block_ids, found.tail_block_id) == ([0], None)
    cache.check_integrity()


def test_a_request_hashes_a_block_once_and_only_when_asked() -> None:
    """The chain grows as far as it is read, and goes on where it stopped."""
    submitted = EngineRequest(
        request_id="r",
        prompt_token_ids=list(range(9)),
        params=SamplingParams(),
        service=Service(cache_salt="a"),
    )
    request = Request(submitted, stop_token_ids=frozenset(), arrival_time=0, sequence_number=0)
    first = next(full_block_hashes(request, SIZE))
    assert request.hash_chain == [first]
    request.token_ids += [9, 10, 11]
    assert list(full_block_hashes(request, SIZE)) == hashes_of(list(range(12)), "a")
    assert request.hash_chain[0] is first
