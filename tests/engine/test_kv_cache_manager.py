"""The ledger: what requests hold, share and leave behind."""

from __future__ import annotations

import random

import pytest

from engine.config import BLOCK_SIZE
from engine.kv_cache.manager import KVCacheManager
from engine.request import EngineRequest, Request, Service
from engine.sampling_params import SamplingParams


def make_request(
    tokens: list[int],
    name: str = "r",
    salt: str = "",
    conversation: str = "",
    num_pinned: int = 0,
) -> Request:
    """Return a request that has just arrived."""
    submitted = EngineRequest(
        request_id=name,
        prompt_token_ids=tokens,
        params=SamplingParams(),
        service=Service(
            cache_salt=salt, conversation_id=conversation, num_pinned_tokens=num_pinned
        ),
    )
    return Request(submitted, stop_token_ids=frozenset(), arrival_time=0.0, sequence_number=0)


def compute_and_free(ledger: KVCacheManager, request: Request) -> None:
    """Pretend that a request was computed to its last token but one, and ended."""
    assert ledger.admit(request) is not None
    request.num_computed_tokens = request.num_tokens - 1
    ledger.commit(request)
    ledger.free(request)
    ledger.check_integrity()


def match_length(ledger: KVCacheManager, request: Request) -> int:
    """How many tokens would be found cached, without taking anything."""
    match = ledger._match(request)
    return len(match.block_ids) * BLOCK_SIZE + match.num_tail_tokens


def test_what_admission_takes_is_known_beforehand() -> None:
    """Blocks that somebody holds are shared; cached ones are free, and leave the free ones."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE)
    first, cached = make_request([1] * 33, "first"), make_request([2] * 33, "cached")
    ledger.admit(first)
    first.num_computed_tokens = 32
    ledger.commit(first)
    compute_and_free(ledger, cached)
    for tokens in ([1] * 49, [2] * 49, [3] * 49):
        request = make_request(tokens, "next")
        before, expected = ledger.num_free_blocks, ledger.num_blocks_to_take(request)
        assert ledger.admit(request) is not None
        assert before - ledger.num_free_blocks == expected
        ledger.free(request)


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


def test_a_conversation_outlives_what_is_merely_cached() -> None:
    """A stranger's prefix is given up first, although it was used last."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request([1] * 33, conversation="c"))
    compute_and_free(ledger, make_request([2] * 16))
    assert (ledger.num_warm_blocks, ledger.num_cached_blocks) == (2, 3)
    ledger.admit(make_request([3] * 32, "big"))
    assert ledger.num_warm_blocks == 2
    assert match_length(ledger, make_request([1] * 33)) == 32
    assert match_length(ledger, make_request([2] * 16)) == 0


def test_the_longest_idle_conversation_goes_first_and_from_its_end() -> None:
    """Among conversations the least recently used gives way, its last block first."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request([1] * 32, conversation="a"))
    compute_and_free(ledger, make_request([2] * 32, conversation="b"))
    ledger.admit(make_request([3], "big"))
    assert match_length(ledger, make_request([1] * 32)) == BLOCK_SIZE
    assert match_length(ledger, make_request([2] * 32)) == 31


def test_a_released_conversation_is_merely_cached() -> None:
    """It can still be found, and goes as soon as anything does."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request([1] * 33, conversation="a"))
    ledger.release_conversation("a")
    ledger.release_conversation("unknown")
    ledger.check_integrity()
    assert (ledger.num_warm_blocks, ledger.num_cached_blocks) == (0, 2)
    assert match_length(ledger, make_request([1] * 33)) == 32


def test_a_stranger_who_shares_a_conversation_does_not_push_it_down() -> None:
    """What a conversation left stays warm after somebody without one has used it too."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request([1] * 33, conversation="a"))
    compute_and_free(ledger, make_request([1] * 33))
    assert ledger.num_warm_blocks == 2


def test_releasing_a_conversation_whose_blocks_are_held_counts_when_they_come_free() -> None:
    """A block in use has no class yet."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request([1] * 33, conversation="a"))
    stranger = make_request([1] * 33)
    ledger.admit(stranger)
    ledger.release_conversation("a")
    ledger.free(stranger)
    ledger.check_integrity()
    assert (ledger.num_warm_blocks, ledger.num_cached_blocks) == (0, 2)


def test_a_characters_prompt_outlives_conversations() -> None:
    """Only the full blocks of the leading pinned tokens are pinned."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE, pinned_share=0.5)
    compute_and_free(ledger, make_request([1] * 49, conversation="a", num_pinned=31))
    assert (ledger.num_pinned_blocks, ledger.num_warm_blocks) == (1, 2)
    compute_and_free(ledger, make_request([2] * 48, conversation="b"))
    assert (ledger.num_pinned_blocks, ledger.num_warm_blocks) == (1, 3)
    assert match_length(ledger, make_request([1] * 49)) == 16


def test_a_prefix_computed_without_a_pin_is_pinned_by_whoever_shares_it() -> None:
    """A pin says what a block is worth now, not who computed it."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE, pinned_share=0.5)
    compute_and_free(ledger, make_request([1] * 33))
    compute_and_free(ledger, make_request([1] * 33, num_pinned=32))
    assert ledger.num_pinned_blocks == 2


def test_pins_stop_at_their_share() -> None:
    """A prompt longer than the share is pinned from its beginning as far as that goes."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE, pinned_share=0.25)
    compute_and_free(ledger, make_request(list(range(65)), num_pinned=64))
    assert (ledger.num_pinned_blocks, ledger.num_cached_blocks) == (2, 4)
    ledger.admit(make_request([500] * 96, "big"))
    assert match_length(ledger, make_request(list(range(65)))) == 32


def test_a_new_character_takes_the_pin_of_the_longest_idle_one() -> None:
    """What loses its pin is still cached."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE, pinned_share=0.125)
    compute_and_free(ledger, make_request([1] * 17, num_pinned=16))
    compute_and_free(ledger, make_request([2] * 17, num_pinned=16))
    assert (ledger.num_pinned_blocks, ledger.num_cached_blocks) == (1, 2)
    ledger.admit(make_request([500] * 112, "big"))
    assert match_length(ledger, make_request([1] * 17)) == 0
    assert match_length(ledger, make_request([2] * 17)) == 16


def test_a_pin_in_use_is_not_taken_away() -> None:
    """While every pinned block is held, a new character goes without."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE, pinned_share=0.125)
    first = make_request([1] * 17, "first", num_pinned=16)
    ledger.admit(first)
    first.num_computed_tokens = 17
    ledger.commit(first)
    compute_and_free(ledger, make_request([2] * 17, num_pinned=16))
    assert (ledger.num_pinned_blocks, ledger.num_cached_blocks) == (0, 1)
    ledger.free(first)
    ledger.check_integrity()
    assert ledger.num_pinned_blocks == 1


def test_deferred_blocks_come_free_when_their_step_has_ended() -> None:
    """Until then nobody is given them; then their class is what their owner left."""
    ledger = KVCacheManager(2, block_size=BLOCK_SIZE)
    request = make_request([1] * 32, conversation="a")
    ledger.admit(request)
    request.num_computed_tokens = 32
    ledger.commit(request)
    ledger.free(request, defer_until=3)
    assert (ledger.num_deferred_blocks, ledger.num_free_blocks) == (2, 0)
    ledger.end_step(2)
    assert ledger.admit(make_request([2])) is None
    ledger.end_step(3)
    ledger.check_integrity()
    assert (ledger.num_deferred_blocks, ledger.num_warm_blocks) == (0, 2)


def test_deferred_blocks_can_be_shared_at_once() -> None:
    """What has been computed in them stays true while a step writes behind it."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE)
    request = make_request([1] * 32)
    ledger.admit(request)
    request.num_computed_tokens = 32
    ledger.commit(request)
    ledger.free(request, defer_until=1)
    admission = ledger.admit(make_request([1] * 33, "next"))
    assert admission is not None
    assert admission.num_cached_tokens == 32
    ledger.end_step(1)
    ledger.check_integrity()
    assert ledger.num_used_blocks == 3


def test_reset_forgets_deferred_prefixes_too() -> None:
    """Whoever left before the reset leaves nothing behind after it."""
    ledger = KVCacheManager(4, block_size=BLOCK_SIZE, pinned_share=0.5)
    request = make_request([1] * 33, conversation="a", num_pinned=16)
    ledger.admit(request)
    request.num_computed_tokens = 33
    ledger.commit(request)
    ledger.free(request, defer_until=1)
    ledger.reset_prefix_cache()
    ledger.check_integrity()
    ledger.end_step(1)
    ledger.check_integrity()
    assert (ledger.num_cached_blocks, ledger.num_free_blocks) == (0, 4)


def test_missing_hashes_begin_where_the_cache_ends() -> None:
    """Only full blocks count, and the next one is found without hashing those behind it."""
    ledger = KVCacheManager(8, block_size=BLOCK_SIZE)
    compute_and_free(ledger, make_request(list(range(17))))
    request = make_request(list(range(70)))
    missing = ledger.next_missing_hash(request)
    assert len(request.hash_chain) == 2
    assert ledger.missing_hashes(request) == request.hash_chain[1:]
    assert len(request.hash_chain) == 4
    assert missing == request.hash_chain[1]


@pytest.mark.parametrize("seed", range(12))
def test_random_histories_keep_the_ledger_whole(seed: int) -> None:
    """Conversations, pins, deferrals and resets in any order: nothing is lost or counted twice."""
    rng = random.Random(seed)
    ledger = KVCacheManager(24, block_size=BLOCK_SIZE, pinned_share=rng.choice([0, 0.1, 0.5]))
    live: list[Request] = []
    past: list[list[int]] = [[]]
    step = 0
    for turn in range(150):
        match rng.randrange(8):
            case 0 | 1:
                start = rng.choice(past)[: rng.randrange(100)]
                tokens = start + [rng.randrange(3) for _ in range(rng.randrange(1, 40))]
                name = rng.choice(["", "a", "b", "c"])
                pins = rng.choice([0, 0, 20, 40])
                request = make_request(tokens, str(turn), conversation=name, num_pinned=pins)
                cached = match_length(ledger, request)
                admission = ledger.admit(request)
                if admission is not None:
                    assert admission.num_cached_tokens == cached
                    request.num_computed_tokens = cached
                    live.append(request)
            case 2 | 3 if live:
                request = rng.choice(live)
                ahead = request.num_tokens - request.num_computed_tokens
                request.num_computed_tokens += rng.randrange(ahead + 1)
                ledger.commit(request)
            case 4 if live:
                request = rng.choice(live)
                more = [rng.randrange(3) for _ in range(rng.randrange(1, 20))]
                if ledger.grow(request.request_id, request.num_tokens + len(more)) is not None:
                    request.token_ids += more
            case 5 if live:
                request = live.pop(rng.randrange(len(live)))
                ledger.free(request, defer_until=rng.choice([None, step + 1]))
                past.append(request.token_ids)
            case 6:
                step += 1
                ledger.end_step(step)
            case 7:
                ledger.release_conversation(rng.choice("abc"))
                if rng.random() < 0.2:
                    ledger.reset_prefix_cache()
        ledger.check_integrity()
    for request in live:
        ledger.free(request)
    ledger.end_step(step + 1)
    ledger.check_integrity()
    assert (ledger.num_used_blocks, ledger.num_deferred_blocks) == (0, 0)
