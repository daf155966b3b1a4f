"""Executes planned steps: copies blocks, runs the model over the packed batch, samples."""

from __future__ import annotations

from collections import deque

import torch

from engine.attention.host_store import HostStore
from engine.attention.kv_store import BlockStore
from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.model.grammar_masks import GrammarMasks
from engine.model.loader import LoadedModel
from engine.model.sampler import Sampler
from engine.model.slot_state import SlotState
from engine.outputs import Chunk, ModelRunnerOutput, StepPlan


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
    def store(self) -> BlockStore:
        """Where keys and values live."""
        return self._store

    @property
    def max_model_len(self) -> int:
        """Longest sequence."""
        return self.loaded.max_model_len

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
        for chunk in all_chunks(plan):
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


def all_chunks(plan: StepPlan) -> list[Chunk]:
    """Return what a plan computes, in the order of its batch."""
    return [*(Chunk(slot, 1, samples=True) for slot in plan.decodes), *plan.chunks]
