"""Budgets in bytes, tokens and fractions become blocks, or a clear refusal."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config import BLOCK_SIZE, CacheConfig
from engine.errors import ConfigError
from engine.kv_cache.budget import (
    free_beside_steps,
    resolve_num_blocks,
    resolve_num_host_slots,
)

GIB = 2**30


def blocks(config: CacheConfig, *, device: str = "cpu", useful_tokens: int = 10**9) -> int:
    """Resolve on a machine with 8 GiB free and a model of 1 KiB per token."""
    return resolve_num_blocks(
        config, bytes_per_token=1024, free_bytes=8 * GIB, device=device, useful_tokens=useful_tokens
    )


def test_tokens_are_rounded_down_to_whole_blocks() -> None:
    """The budget is a ceiling."""
    assert blocks(CacheConfig(kv_cache_tokens=100)) == 6


@pytest.mark.parametrize("asked", [16 * 2**20, "16MiB", "16777216", "0.015625gib"])
def test_bytes_may_be_a_number_or_a_size(asked: int | str) -> None:
    """16 MiB hold 16,384 tokens of 1 KiB."""
    assert blocks(CacheConfig(kv_cache_memory=asked)) == 1024


@pytest.mark.parametrize("asked", [0.5, "0.5"])
def test_a_number_below_one_is_a_fraction_of_free_memory(asked: float | str) -> None:
    """Half of 8 GiB."""
    assert blocks(CacheConfig(kv_cache_memory=asked)) == 4 * GIB // 1024 // 16


def test_the_default_on_a_cpu_is_modest() -> None:
    """A quarter of free memory, at most 2 GiB."""
    assert blocks(CacheConfig()) == 2 * GIB // 1024 // 16


def test_the_default_is_cut_to_what_can_be_used() -> None:
    """A small model on a big machine takes no more than all its sequences could fill."""
    assert blocks(CacheConfig(), useful_tokens=1600) == 100


@pytest.mark.parametrize("asked", [0, -1, "lots", "", "12 parsecs", True])
def test_nonsense_is_refused_with_the_way_out(asked: int | str) -> None:
    """The sentence names the value and the three forms."""
    with pytest.raises(ConfigError, match="kv_cache_memory is .*give bytes"):
        blocks(CacheConfig(kv_cache_memory=asked))


def test_more_than_is_free_is_refused_with_both_numbers() -> None:
    """The process must not die of memory later."""
    with pytest.raises(ConfigError, match=r"17179869184 bytes but 8589934592 are free"):
        blocks(CacheConfig(kv_cache_memory="16GiB"))


def test_less_than_a_block_is_refused() -> None:
    """Nothing could run."""
    with pytest.raises(ConfigError, match="at least one block"):
        blocks(CacheConfig(kv_cache_memory=1024))


def test_what_is_free_on_a_gpu_is_so_beside_the_largest_step() -> None:
    """The sentence says why it is less than the card has."""
    with pytest.raises(ConfigError, match="are free on cuda beside the largest step"):
        blocks(CacheConfig(kv_cache_memory="16GiB"), device="cuda")


def test_kv_takes_what_the_largest_step_leaves() -> None:
    """Of 100 blocks' memory a step takes 30, whatever its context."""
    free = free_beside_steps(1600, lambda context: 480, bytes_per_token=1, max_model_len=64)
    assert free == 1600 - 480


@pytest.mark.parametrize("max_model_len", [16, 100, 1000, 10**6])
def test_a_step_of_the_longest_context_that_kv_holds_still_fits(max_model_len: int) -> None:
    """And one block more would not; long contexts are no concern of little KV."""

    def step_bytes(context: int) -> int:
        return 5000 + 3 * context

    free = free_beside_steps(40_000, step_bytes, bytes_per_token=10, max_model_len=max_model_len)
    assert free % 160 == 0
    context = min(free // 10, max_model_len)
    assert free + step_bytes(context) <= 40_000
    more = free + 160
    assert more + step_bytes(min(more // 10, max_model_len)) > 40_000


def test_a_step_that_leaves_nothing_is_refused_with_the_way_out() -> None:
    """Rather than starting and dying of it."""
    with pytest.raises(ConfigError, match=r"takes 900 of 1000 .* lower max_num_batched_tokens"):
        free_beside_steps(1000, lambda context: 900, bytes_per_token=10, max_model_len=64)


def test_two_budgets_are_refused() -> None:
    """Which one would hold?"""
    with pytest.raises(ConfigError, match="both given"):
        CacheConfig(kv_cache_memory=1, kv_cache_tokens=64)


@pytest.mark.parametrize(
    ("asked", "device", "slots"),
    [(None, "cpu", 0), (None, "cuda", 62), (0, "cuda", 0), (1600, "cpu", 10), (0.5, "cuda", 312)],
)
def test_host_memory_is_a_share_beside_a_gpu_and_nothing_beside_a_cpu(
    asked: int | float | None, device: str, slots: int
) -> None:
    """Unless something else is asked for; in whole blocks."""
    config = CacheConfig(host_cache_memory=asked)
    found = resolve_num_host_slots(
        config, bytes_per_token=10, free_host_bytes=100_000, device=device
    )
    assert found == slots


def test_more_host_memory_than_is_free_is_refused_with_the_numbers() -> None:
    """And with the way out."""
    with pytest.raises(ConfigError, match=r"200000 bytes but 100000 are free.*give 0"):
        resolve_num_host_slots(
            CacheConfig(host_cache_memory=200_000),
            bytes_per_token=10,
            free_host_bytes=100_000,
            device="cpu",
        )


def test_host_memory_is_no_larger_by_default_than_could_be_of_use() -> None:
    """What was asked for is not cut."""
    facts: dict[str, Any] = {"bytes_per_token": 10, "free_host_bytes": 10**9, "device": "cuda"}
    facts["useful_tokens"] = 64
    assert resolve_num_host_slots(CacheConfig(), **facts) == 4
    asked = CacheConfig(host_cache_memory=BLOCK_SIZE * 10 * 100)
    assert resolve_num_host_slots(asked, **facts) == 100
