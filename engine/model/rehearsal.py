"""Steps that nobody asked for: to warm everything up, and to learn what steps cost."""

from __future__ import annotations

import time
from typing import Protocol

from engine.attention.kv_store import BlockStore
from engine.config import BLOCK_SIZE
from engine.cost_model import StepShape
from engine.outputs import Chunk, ModelRunnerOutput, SlotLoad, StepPlan
from engine.sampling_params import SamplingParams


class Rehearsing(Protocol):
    """A runner, as far as it matters here."""

    @property
    def num_blocks(self) -> int:
        """Blocks of KV memory."""
        ...

    @property
    def store(self) -> BlockStore:
        """That memory."""
        ...

    @property
    def max_model_len(self) -> int:
        """Longest sequence."""
        ...

    def execute(self, plan: StepPlan) -> ModelRunnerOutput:
        """Compute a step and wait for it."""
        ...


def rehearse(
    runner: Rehearsing, num_seqs: int, *, context: int = 0
) -> list[tuple[StepShape, float]]:
    """Read a block of prompt for each of ``num_seqs`` sequences, then decode one token.

    Writes to the last blocks; call it before anything is stored.

    Args:
        runner: Computes.
        num_seqs: As many as there are blocks at most.
        context: Whole blocks of tokens that each has stored before, as far as the model's context
            reaches; all of them lie in the sequence's one block.

    Returns:
        What was computed in each step, and the seconds that it took.
    """
    blocks = range(max(0, runner.num_blocks - num_seqs), runner.num_blocks)
    length = min(BLOCK_SIZE, runner.max_model_len)
    start = min(context, runner.max_model_len - length) // BLOCK_SIZE * BLOCK_SIZE
    count = len(blocks)
    loads = [_dummy_load(slot, block, start, length) for slot, block in enumerate(blocks)]
    chunks = [Chunk(slot, length - 1, samples=False) for slot in range(count)]
    plans = [StepPlan(0, loads=loads, chunks=chunks if length > 1 else [])]
    plans.append(StepPlan(0, decodes=tuple(range(count))))
    shapes = [
        StepShape(0, count * (length - 1), count * (start + length - 1)),
        StepShape(count, 0, count * (start + length)),
    ]
    seconds = []
    for plan in plans:
        started = time.perf_counter()
        runner.execute(plan)
        seconds.append(time.perf_counter() - started)
    runner.store.clear_blocks(list(blocks))
    return list(zip(shapes, seconds, strict=True))[2 - min(length, 2) :]


def _dummy_load(slot: int, block: int, start: int, length: int) -> SlotLoad:
    return SlotLoad(
        slot=slot,
        request_id=f"rehearsal-{slot}",
        params=SamplingParams(temperature=1.0, top_p=0.9, seed=slot),
        token_ids=[0] * (start + length),
        num_prompt_tokens=start + length,
        num_computed_tokens=start,
        block_table=[block] * (start // BLOCK_SIZE + 1),
        stop_token_ids=frozenset(),
    )
