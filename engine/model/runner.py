"""Executes planned steps: copies blocks, runs the model over the packed batch, samples."""

from __future__ import annotations

import time
from collections import deque

import torch

from engine.attention.host_store import HostStore
from engine.config import BLOCK_SIZE
from engine.cost_model import StepShape
from engine.model.forward import Span
from engine.model.grammar_masks import GrammarMasks
from engine.model.loader import LoadedModel
from engine.model.sampler import Sampler
from engine.model.slot_state import SlotState
from engine.outputs import Chunk, ModelRunnerOutput, SlotLoad, StepPlan
from engine.sampling_params import SamplingParams


class ModelRunner:
    """Owns the KV memory and steps the model; used by one thread at a time.

    Attributes:
        loaded: The model and what is known of it.
        num_blocks: Blocks of KV memory; ids run from 0 to ``num_blocks - 1``.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        num_blocks: int,
        *,
        masks: GrammarMasks | None = None,
        num_host_slots: int = 0,
    ) -> None:
        """Allocate blocks of KV memory, and slots of host memory; nothing else grows later."""
        self.loaded = loaded
        self.num_blocks = num_blocks
        self._forward = loaded.make_forward(num_blocks)
        self._store = self._forward.store
        self._host_store = HostStore(self._store, num_host_slots)
        self._sampler = Sampler(masks, self._forward.draw)
        self._slots: dict[int, SlotState] = {}
        self._done: deque[ModelRunnerOutput] = deque()

    @property
    def kv_bytes(self) -> int:
        """KV memory held."""
        return self._store.num_bytes

    def set_num_threads(self, num_threads: int) -> None:
        """Compute with so many threads from now on."""
        self._forward.set_num_threads(num_threads)

    def launch(self, plan: StepPlan) -> None:
        """Compute a step; its output waits for ``collect``."""
        self._done.append(self.execute(plan))

    def collect(self) -> ModelRunnerOutput:
        """Return the output of the step that was launched first."""
        return self._done.popleft()

    @torch.inference_mode()
    def execute(self, plan: StepPlan) -> ModelRunnerOutput:
        """Compute the plan's tokens and draw one for each sequence that samples.

        Args:
            plan: Its loads' lists become the runner's own.

        Returns:
            A token, or a sentence about what went wrong, for exactly the slots that sample.
        """
        self._take_in(plan)
        if plan.is_empty:
            return ModelRunnerOutput(sampled={})
        spans: list[Span] = []
        token_ids: list[int] = []
        rows: list[int] = []
        sampling: list[int] = []
        for chunk in _all_chunks(plan):
            state = self._slots[chunk.slot]
            start, end = state.num_computed_tokens, state.num_computed_tokens + chunk.num_tokens
            spans.append(Span(start, chunk.num_tokens, state.block_table))
            token_ids.extend(state.token_ids[start:end])
            state.num_computed_tokens = end
            if chunk.samples:
                rows.append(len(token_ids) - 1)
                sampling.append(chunk.slot)
        logits = self._forward.run(spans, token_ids, rows)
        if logits is None:
            return ModelRunnerOutput(sampled={})
        output = self._sampler.sample(logits, {slot: self._slots[slot] for slot in sampling})
        for slot, token in output.sampled.items():
            self._slots[slot].token_ids.append(token.token_id)
        return output

    def rehearse(self, num_seqs: int, *, context: int = 0) -> list[tuple[StepShape, float]]:
        """Read a block of prompt for each of ``num_seqs`` sequences, then decode one token.

        Warms everything up, and is what a timing of steps can repeat. Writes to the last blocks;
        call it before anything is stored.

        Args:
            num_seqs: As many as there are blocks at most.
            context: Whole blocks of tokens that each has stored before, as far as the model's
                context reaches; all of them lie in the sequence's one block.

        Returns:
            What was computed in each step, and the seconds that it took.
        """
        blocks = range(max(0, self.num_blocks - num_seqs), self.num_blocks)
        length = min(BLOCK_SIZE, self.loaded.max_model_len)
        start = min(context, self.loaded.max_model_len - length) // BLOCK_SIZE * BLOCK_SIZE
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
            self.execute(plan)
            seconds.append(time.perf_counter() - started)
        self._store.clear_blocks(list(blocks))
        return list(zip(shapes, seconds, strict=True))[2 - min(length, 2) :]

    def _take_in(self, plan: StepPlan) -> None:
        """Bring store and mirrors up to date."""
        self._host_store.offload(plan.offloads)
        self._store.copy_blocks(plan.block_copies)
        self._host_store.restore(plan.restores)
        for load in plan.loads:
            self._slots[load.slot] = SlotState(load)
        for slot, blocks in plan.new_blocks:
            self._slots[slot].block_table.extend(blocks)
        copied = {destination for _, destination in plan.block_copies}
        for load in plan.loads if copied else ():
            block = load.block_table[load.num_computed_tokens // BLOCK_SIZE]
            if block in copied:  # what lies behind the shared part is another sequence's
                self._store.clear_tail(block, load.num_computed_tokens % BLOCK_SIZE)


def _all_chunks(plan: StepPlan) -> list[Chunk]:
    return [*(Chunk(slot, 1, samples=True) for slot in plan.decodes), *plan.chunks]


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
