"""From a budget in bytes, tokens or a fraction of memory to a number of blocks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from engine.config import BLOCK_SIZE, CacheConfig, parse_memory
from engine.errors import ConfigError

DEFAULT_FRACTION = {"cpu": 0.25, "cuda": 0.9}
"""Share of free memory taken when nothing is said. A CPU's memory belongs to others as well; on a
GPU the largest steps have had theirs already, and the rest is for what memory loses in pieces."""
DEFAULT_LIMIT_BYTES = {"cpu": 2 * 2**30, "cuda": 2**62}
DEFAULT_HOST_FRACTION = {"cpu": 0.0, "cuda": 0.1}
"""Share of free host memory for blocks that lose their place; a CPU has no other place."""


def free_beside_steps(
    free_bytes: int,
    step_bytes: Callable[[int], int],
    *,
    bytes_per_token: int,
    max_model_len: int,
) -> int:
    """Return the most bytes that KV can take so that the largest step still has room.

    No sequence is longer than the KV that there is, so little KV needs little room beside it.

    Args:
        free_bytes: Memory free on the device once the weights are there.
        step_bytes: What a step takes whose longest sequence has so many tokens; never falls.
        bytes_per_token: KV bytes of one token over all layers.
        max_model_len: Longest sequence.

    Raises:
        ConfigError: The largest step leaves no room for a block.
    """
    block_bytes = BLOCK_SIZE * bytes_per_token

    def needed(num_blocks: int) -> int:
        context = min(num_blocks * BLOCK_SIZE, max_model_len)
        return num_blocks * block_bytes + step_bytes(context)

    num_blocks = bisect_right(range(free_bytes // block_bytes + 1), free_bytes, key=needed) - 1
    if num_blocks < 1:
        raise ConfigError(
            f"the largest step takes {step_bytes(BLOCK_SIZE)} of {free_bytes} free bytes, which "
            f"leaves no room for a block of KV ({block_bytes} bytes); lower max_num_batched_tokens "
            "or max_num_seqs",
            param="max_num_batched_tokens",
        )
    return num_blocks * block_bytes


def resolve_num_blocks(
    config: CacheConfig,
    *,
    bytes_per_token: int,
    free_bytes: int,
    device: str,
    useful_tokens: int,
) -> int:
    """Decide how many blocks the ledger holds.

    Args:
        config: What was asked for.
        bytes_per_token: KV bytes of one token over all layers.
        free_bytes: Memory free on the device once the weights, and on a GPU the largest step, have
            had theirs.
        device: ``"cpu"`` or ``"cuda"``; decides the default when no budget is given.
        useful_tokens: More than this is never needed (``max_num_seqs * max_model_len``); only a
            default is cut to it, never what was asked for.

    Raises:
        ConfigError: The budget is larger than free memory, or smaller than a block.
    """
    if config.kv_cache_tokens is not None:
        num_tokens = config.kv_cache_tokens
    elif config.kv_cache_memory is not None:
        asked = parse_memory(config.kv_cache_memory)
        budget = int(free_bytes * asked) if isinstance(asked, float) else asked
        num_tokens = budget // bytes_per_token
    else:
        wanted = min(int(free_bytes * DEFAULT_FRACTION[device]), DEFAULT_LIMIT_BYTES[device])
        num_tokens = min(wanted // bytes_per_token, max(useful_tokens, BLOCK_SIZE))
    num_blocks = num_tokens // BLOCK_SIZE
    needed = num_blocks * BLOCK_SIZE * bytes_per_token
    if num_blocks < 1:
        raise ConfigError(
            f"the KV budget holds {num_tokens} tokens; it must hold at least one block of "
            f"{BLOCK_SIZE} ({BLOCK_SIZE * bytes_per_token} bytes)",
            param="kv_cache_memory" if config.kv_cache_tokens is None else "kv_cache_tokens",
        )
    if needed > free_bytes:
        beside = " beside the largest step" if device == "cuda" else ""
        raise ConfigError(
            f"the KV budget needs {needed} bytes but {free_bytes} are free on {device}{beside}; "
            "lower kv_cache_tokens or kv_cache_memory",
            param="kv_cache_memory" if config.kv_cache_tokens is None else "kv_cache_tokens",
        )
    return num_blocks


def resolve_num_host_slots(
    config: CacheConfig,
    *,
    bytes_per_token: int,
    free_host_bytes: int,
    device: str,
    useful_tokens: int | None = None,
) -> int:
    """Decide how many blocks host memory holds beside the device's.

    Args:
        config: What was asked for.
        bytes_per_token: KV bytes of one token over all layers.
        free_host_bytes: Memory free on the host.
        device: ``"cpu"`` or ``"cuda"``; decides the default when nothing is asked for.
        useful_tokens: More than this is never needed; only a default is cut to it.

    Raises:
        ConfigError: More is asked for than is free.
    """
    asked: object = config.host_cache_memory
    if asked is None:
        asked = DEFAULT_HOST_FRACTION[device]
    if not asked or not config.enable_prefix_caching:
        return 0
    parsed = parse_memory(asked, param="host_cache_memory")
    budget = int(free_host_bytes * parsed) if isinstance(parsed, float) else parsed
    if budget > free_host_bytes:
        raise ConfigError(
            f"host_cache_memory is {budget} bytes but {free_host_bytes} are free; lower it, or "
            "give 0 to do without",
            param="host_cache_memory",
        )
    if config.host_cache_memory is None and useful_tokens is not None:
        budget = min(budget, useful_tokens * bytes_per_token)
    return budget // (BLOCK_SIZE * bytes_per_token)
