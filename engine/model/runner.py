"""Executes a planned step: copies blocks, runs the model over the packed batch, samples."""

from __future__ import annotations

import torch

from engine.attention.kv_store import KVStore
from engine.config import BLOCK_SIZE
from engine.model.loader import LoadedModel
from engine.model.packed import packed_forward
from engine.model.sampler import Sampler
from engine.outputs import ModelRunnerOutput, ScheduledSequence, SchedulerOutput
from engine.request import EngineRequest, Request
from engine.sampling_params import SamplingParams


class ModelRunner:
    """Owns the KV memory and steps the model; used by one thread at a time.

    Attributes:
        loaded: The model and what is known of it.
        num_blocks: Blocks of KV memory; ids run from 0 to ``num_blocks - 1``.
    """

    def __init__(self, loaded: LoadedModel, num_blocks: int) -> None:
        """Allocate ``num_blocks`` blocks of KV memory; nothing else grows later."""
        self.loaded = loaded
        self.num_blocks = num_blocks
        self._store = KVStore(loaded.layers, num_blocks, dtype=loaded.dtype, device=loaded.device)
        self._sampler = Sampler()

    @property
    def kv_bytes(self) -> int:
        """KV memory held."""
        return self._store.num_bytes

    @torch.inference_mode()
    def execute(self, plan: SchedulerOutput) -> ModelRunnerOutput:
        """Compute the plan's tokens and draw one for each sequence that samples.

        Args:
            plan: Sequences whose block tables cover what they compute. Nothing in it is changed.

        Returns:
            A token, or a sentence about what went wrong, for exactly the sequences that sample.
        """
        self._copy_blocks(plan)
        if not plan.sequences:
            return ModelRunnerOutput(sampled={})
        token_ids: list[int] = []
        rows: list[int] = []
        sampling: list[Request] = []
        for sequence in plan.sequences:
            token_ids.extend(_new_tokens(sequence))
            if sequence.samples:
                rows.append(len(token_ids) - 1)
                sampling.append(sequence.request)
        logits = packed_forward(self.loaded.model, self._store, plan.sequences, token_ids, rows)
        if logits is None:
            return ModelRunnerOutput(sampled={})
        return self._sampler.sample(logits, sampling)

    def warm_up(self) -> None:
        """Run a prompt chunk and a decode step, so that the first request does not pay for firsts.

        Writes to the last block; call it before anything is stored.
        """
        table = [self.num_blocks - 1]
        submitted = EngineRequest(
            request_id="warm-up",
            prompt_token_ids=[0] * min(BLOCK_SIZE, self.loaded.max_model_len),
            params=SamplingParams(temperature=1.0, top_p=0.9, seed=0),
        )
        request = Request(
            submitted, stop_token_ids=frozenset(), arrival_time=0.0, sequence_number=0
        )
        last = request.num_tokens - 1
        for start, count in ((0, last), (last, 1)):
            if count:
                self.execute(
                    SchedulerOutput([ScheduledSequence(request, start, count, table, count == 1)])
                )
        self._store.clear_blocks(table)

    def _copy_blocks(self, plan: SchedulerOutput) -> None:
        self._store.copy_blocks(plan.block_copies)
        copied = {destination for _, destination in plan.block_copies}
        for sequence in plan.sequences if copied else ():
            block = sequence.block_table[sequence.start // BLOCK_SIZE]
            if block in copied:  # what lies behind the shared part is another sequence's
                self._store.clear_tail(block, sequence.start % BLOCK_SIZE)


def _new_tokens(sequence: ScheduledSequence) -> list[int]:
    return sequence.request.token_ids[sequence.start : sequence.start + sequence.num_tokens]
