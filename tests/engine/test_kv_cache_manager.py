"""The ledger: what requests hold, share and leave behind."""

from __future__ import annotations

import pytest

from engine.config import BLOCK_SIZE
from engine.kv_cache.manager import KVCacheManager
from engine.request import EngineRequest, Request, Service
from engine.sampling_params import SamplingParams


def make_request(tokens: list[int], name: str = "r", salt: str = "") -> Request:
    """Return a request that has just arrived."""
    submitted = EngineRequest(
        request_id=name,
        prompt_token_ids=tokens,
        params=SamplingParams(),
        service=Service(cache_salt=salt),
    )
    return Request(submitted, stop_token_ids=frozenset(), arrival_time=0.0, sequence_number=0)


def compute_and_free(ledger: KVCacheManager, request: Request) -> None:
    """Pretend that a request was computed to its last token but one, and ended."""
    assert ledger.admit(request) is not None
    request.num_computed_tokens = request.num_tokens - 1
    ledger.commit(request)
    ledger.free(request)
    ledger.check_integrity()


def test_a_request_gets_the_blocks_that_its_tokens_need() -> None:
    """17 tokens need two blocks of 16."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE)
    ledger.admit(make_request(list(range(17))))
    assert (ledger.num_used_blocks, len(ledger.block_table("r"))) == (2, 2)


def test_what_does_not_fit_changes_nothing() -> None:
    """A refused admission leaves the ledger as it was, shared blocks included."""
    ledger = KVCacheManager(3, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request(list(range(33))))
    ledger.admit(make_request([500] * 16, "other"))
    assert ledger.admit(make_request(list(range(60)), "big")) is None
    ledger.check_integrity()
    assert ledger.num_used_blocks == 1


def test_the_budget_is_never_exceeded() -> None:
    """Growth stops at the last block."""
    ledger = KVCacheManager(2, block_size=BLOCK_SIZE)
    ledger.admit(make_request([1]))
    assert ledger.grow("r", 32)
    assert not ledger.grow("r", 33)
    assert ledger.num_used_blocks == 2


def test_a_second_request_shares_the_full_blocks_of_the_first_while_it_runs() -> None:
    """Prefixes are shared between live requests, not only after the end."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE)
    first = make_request(list(range(40)), "first")
    ledger.admit(first)
    first.num_computed_tokens = 40
    ledger.commit(first)
    admission = ledger.admit(make_request([*range(32), 7, 7], "second"))
    assert admission is not None
    assert admission.num_cached_tokens == 32
    assert ledger.block_table("second")[:2] == ledger.block_table("first")[:2]
    ledger.check_integrity()


def test_the_tail_is_copied_not_shared() -> None:
    """The partly equal block is copied, so that neither can write over the other."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request(list(range(30)), "first"))
    admission = ledger.admit(make_request([*range(25), 99, 99], "second"))
    assert admission is not None
    assert admission.num_cached_tokens == 25
    assert admission.block_copy is not None
    source, destination = admission.block_copy
    assert destination == ledger.block_table("second")[1] != source


def test_the_last_token_is_always_left_to_compute() -> None:
    """An identical prompt is cached up to its last token but one."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request(list(range(33))))
    admission = ledger.admit(make_request(list(range(32))))
    assert admission is not None
    assert admission.num_cached_tokens == 31


def test_freed_prefixes_are_counted_as_cached_and_not_as_used() -> None:
    """Usage returns to zero while the prefix stays warm."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request(list(range(40))))
    assert (ledger.num_used_blocks, ledger.num_cached_blocks) == (0, 3)


def test_the_end_of_a_prefix_is_evicted_before_its_beginning() -> None:
    """Under pressure the part that most prompts share lives longest."""
    ledger = KVCacheManager(3, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request(list(range(48))))
    ledger.admit(make_request([500], "other"))
    admission = ledger.admit(make_request(list(range(20)), "again"))
    assert admission is not None
    assert admission.num_cached_tokens >= BLOCK_SIZE


def test_another_salt_shares_nothing() -> None:
    """The salt reaches the ledger."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request(list(range(40)), salt="a"))
    admission = ledger.admit(make_request(list(range(40)), salt="b"))
    assert admission is not None
    assert admission.num_cached_tokens == 0


def test_without_prefix_caching_nothing_is_kept() -> None:
    """Switched off means off."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE, enable_prefix_caching=False)
    compute_and_free(ledger, make_request(list(range(40))))
    admission = ledger.admit(make_request(list(range(40))))
    assert admission is not None
    assert (admission.num_cached_tokens, ledger.num_cached_blocks) == (0, 0)


def test_reset_forgets_free_prefixes() -> None:
    """After a reset a known prompt starts from nothing."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request(list(range(40))))
    ledger.reset_prefix_cache()
    ledger.check_integrity()
    admission = ledger.admit(make_request(list(range(40))))
    assert admission is not None
    assert admission.num_cached_tokens == 0


def test_an_integrity_check_finds_a_block_that_was_lost() -> None:
    """The check can fail."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE)
    ledger.admit(make_request(list(range(20))))
    ledger._holdings["r"].blocks.pop()
    with pytest.raises(AssertionError):
        ledger.check_integrity()
