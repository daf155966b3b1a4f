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

    def rehearse(self, num_seqs: int) -> None:
        """Read a prompt of one block for each of ``num_seqs`` sequences, then decode one token.

        Warms everything up, and is what a timing of steps can repeat. Writes to the last blocks;
        call it before anything is stored.
        """
        blocks = range(max(0, self.num_blocks - num_seqs), self.num_blocks)
        requests = [_dummy_request(block, self.loaded.max_model_len) for block in blocks]
        last = requests[0].num_tokens - 1
        for start, count in ((0, last), (last, 1)):
            if count:
                sequences = [
                    ScheduledSequence(request, start, count, [block], samples=count == 1)
                    for request, block in zip(requests, blocks, strict=True)
                ]
                self.execute(SchedulerOutput(sequences))
        self._store.clear_blocks(list(blocks))

    def _copy_blocks(self, plan: SchedulerOutput) -> None:
        self._store.copy_blocks(plan.block_copies)
        copied = {destination for _, destination in plan.block_copies}
        for sequence in plan.sequences if copied else ():
            block = sequence.block_table[sequence.start // BLOCK_SIZE]
            if block in copied:  # what lies behind the shared part is another sequence's
                self._store.clear_tail(block, sequence.start % BLOCK_SIZE)


def _dummy_request(number: int, max_model_len: int) -> Request:
    submitted = EngineRequest(
        request_id=f"rehearsal-{number}",
        prompt_token_ids=[0] * min(BLOCK_SIZE, max_model_len),
        params=SamplingParams(temperature=1.0, top_p=0.9, seed=number),
    )
    return Request(submitted, stop_token_ids=frozenset(), arrival_time=0.0, sequence_number=0)


def _new_tokens(sequence: ScheduledSequence) -> list[int]:
    return sequence.request.token_ids[sequence.start : sequence.start + sequence.num_tokens]
