"""What the largest steps take of a GPU's memory, found out by running them before it is shared out.

Activations, logits and whatever sampling sorts are the same for any context, so a handful of blocks
is enough to see them. What attention leaves of each stretch of keys until it is put together grows
with the context, and is counted from its sizes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from engine.config import BLOCK_SIZE, SchedulerConfig
from engine.errors import ConfigError
from engine.gpu.attention.work_list import STRETCH
from engine.gpu.step.capture import MOST_RESULTS, RARE
from engine.kv_cache.budget import free_beside_steps
from engine.model.loader import LoadedModel
from engine.model.memory import give_back_memory
from engine.outputs import Chunk, ModelRunnerOutput, SlotLoad, StepPlan
from engine.sampling_params import MAX_LOGPROBS, SamplingParams

logger = logging.getLogger(__name__)

_NUM_BLOCKS = 8
_GRAPH_ROUNDING = 4
"""Captured steps round tokens up to a power of two, and stretches too."""


class Steps(Protocol):
    """A runner, as far as it matters here."""

    def execute(self, plan: StepPlan) -> ModelRunnerOutput:
        """Compute a step and wait for it."""
        ...


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """A device's memory at one moment, in bytes.

    Attributes:
        free: Nobody's.
        held: By torch, in use or not.
        most_held: By torch at any time since the reading before.
    """

    free: int
    held: int
    most_held: int


ReadMemory = Callable[[], MemoryUse]
"""Waits until all that was launched is done, and reads."""


@dataclass(frozen=True, slots=True)
class LargestSteps:
    """What was found.

    Attributes:
        free_bytes: Before.
        step_bytes: Taken on top at the worst moment, whatever the context.
    """

    free_bytes: int
    step_bytes: int


def read_cuda_memory(device: torch.device) -> MemoryUse:
    """Read a GPU's memory."""
    torch.cuda.synchronize(device)
    free, _ = torch.cuda.mem_get_info(device)
    use = MemoryUse(
        free=free,
        held=torch.cuda.memory_reserved(device),
        most_held=torch.cuda.max_memory_reserved(device),
    )
    torch.cuda.reset_peak_memory_stats(device)
    return use


def taken(before: MemoryUse, after: MemoryUse) -> int:
    """Return the bytes that were taken at most between two readings.

    Beside torch's own memory this counts what the driver took for itself (kernels, libraries).
    """
    by_torch = after.most_held - before.held
    by_others = (before.free + before.held) - (after.free + after.held)
    return max(0, by_torch) + max(0, by_others)


def bytes_beside_steps(
    loaded: LoadedModel,
    limits: SchedulerConfig,
    make_runner: Callable[[int], Steps],
    read: ReadMemory,
    *,
    kept_bytes: int,
) -> int:
    """Return what is free for KV on a loaded model's device beside the largest steps.

    Args:
        loaded: The model.
        limits: Of a step.
        make_runner: Given a number of KV blocks, returns what executes steps of the model.
        read: Reads the device's memory.
        kept_bytes: Of what else is to be taken.

    Raises:
        ConfigError: There is too little memory for the steps, or for KV beside them.
    """
    found = measure_largest_steps(make_runner, limits, loaded.max_model_len, read)
    width = max(layer.value_dim for layer in loaded.layers)
    tokens = limits.max_num_batched_tokens

    def step_bytes(context: int) -> int:
        parts = attention_bytes(loaded.num_heads, width, tokens, context)
        return found.step_bytes + kept_bytes + parts

    left = free_beside_steps(
        found.free_bytes,
        step_bytes,
        bytes_per_token=loaded.kv_bytes_per_token,
        max_model_len=loaded.max_model_len,
    )
    logger.info(
        "of %.2f GB free, the largest step takes %.2f GB; %.2f GB are left for KV",
        found.free_bytes / 1e9,
        found.step_bytes / 1e9,
        left / 1e9,
    )
    return left


def measure_largest_steps(
    make_runner: Callable[[int], Steps],
    limits: SchedulerConfig,
    max_model_len: int,
    read: ReadMemory,
) -> LargestSteps:
    """Run the largest steps once, with memory of their own that is given back.

    Args:
        make_runner: Given a number of KV blocks, returns what executes.
        limits: Of a step.
        max_model_len: Longest sequence.
        read: Reads the device's memory.

    Raises:
        ConfigError: There is too little memory for them.
    """
    give_back_memory()
    before = read()
    try:
        run_largest_steps(make_runner(_NUM_BLOCKS), limits, max_model_len)
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"a step of {limits.max_num_batched_tokens} tokens and {limits.max_num_seqs} replies "
            f"needs more than the {before.free} bytes that the weights leave free; lower "
            "max_num_batched_tokens or max_num_seqs",
            param="max_num_batched_tokens",
        ) from error
    after = read()
    give_back_memory()
    return LargestSteps(before.free, taken(before, after))


def run_largest_steps(steps: Steps, limits: SchedulerConfig, max_model_len: int) -> None:
    """Read prompts that fill a step and all end in it, and decode tokens for each.

    Everybody asks the sampler for the most that it can be asked for. Each step comes as often as it
    takes until a graph is captured for its like, whose memory counts too.
    """
    tokens = limits.max_num_batched_tokens
    count = min(limits.max_num_seqs, tokens)
    times = min(RARE + 1, max_model_len - 1)
    lengths = [tokens // count + (slot < tokens % count) for slot in range(count)]
    lengths = [min(length, max_model_len - times) for length in lengths]
    chunks = [Chunk(slot, length, samples=True) for slot, length in enumerate(lengths)]
    for _ in range(times):
        loads = [_load(slot, length, times) for slot, length in enumerate(lengths)]
        steps.execute(StepPlan(0, loads=loads, chunks=chunks))
    for _ in range(times):
        steps.execute(StepPlan(1, decodes=tuple(range(count))))


def attention_bytes(
    num_heads: int, value_dim: int, max_num_batched_tokens: int, context: int
) -> int:
    """Return what attention leaves of its pieces in the largest step of a context.

    One row of numbers and one more for each token, stretch and query head, float32; once for steps
    that are launched as they come, and once in the memory of those that are captured.

    Args:
        num_heads: Query heads.
        value_dim: Width of a value.
        max_num_batched_tokens: In a step.
        context: Tokens of the longest sequence.
    """
    results = max_num_batched_tokens * -(-context // STRETCH)
    captured = min(_GRAPH_ROUNDING * results, MOST_RESULTS)
    return (results + captured) * num_heads * (value_dim + 1) * 4


def _load(slot: int, length: int, num_decodes: int) -> SlotLoad:
    """Return a sequence whose blocks are anybody's: what is stored there is never looked at."""
    num_blocks = -(-(length + num_decodes) // BLOCK_SIZE)
    return SlotLoad(
        slot=slot,
        request_id=f"largest-{slot}",
        params=SamplingParams(
            temperature=100.0,  # no token is much likelier than the others, so filters reach far
            top_p=0.999,
            frequency_penalty=0.1,
            repetition_penalty=1.1,
            logprobs=MAX_LOGPROBS,
            seed=slot,
        ),
        token_ids=[0] * length,
        num_prompt_tokens=length,
        num_computed_tokens=0,
        block_table=[i % _NUM_BLOCKS for i in range(num_blocks)],
        stop_token_ids=frozenset(),
    )
