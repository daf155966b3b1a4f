"""A scheduler for tests: plans steps by hand, with odd chunks and scattered blocks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from engine.config import BLOCK_SIZE
from engine.model.loader import LoadedModel
from engine.model.runner import ModelRunner
from engine.model.slot_state import SlotState
from engine.outputs import Chunk, ModelRunnerOutput, SampledToken, SlotLoad, StepPlan
from engine.sampling_params import SamplingParams

GREEDY = SamplingParams(temperature=0.0)


def make_request(
    prompt: Sequence[int],
    params: SamplingParams = GREEDY,
    *,
    name: str = "r",
    stops: Sequence[int] = (),
) -> SlotState:
    """Build a sequence as the runner would hold it."""
    return SlotState(
        SlotLoad(
            slot=0,
            request_id=name,
            params=params,
            token_ids=list(prompt),
            num_prompt_tokens=len(prompt),
            num_computed_tokens=0,
            block_table=[],
            stop_token_ids=frozenset(stops),
        )
    )


def load_of(request: SlotState, slot: int) -> SlotLoad:
    """Say everything of a sequence to a runner."""
    return SlotLoad(
        slot=slot,
        request_id=request.request_id,
        params=request.params,
        token_ids=list(request.token_ids),
        num_prompt_tokens=request.num_prompt_tokens,
        num_computed_tokens=request.num_computed_tokens,
        block_table=list(request.block_table),
        stop_token_ids=request.stop_token_ids,
    )


def random_prompt(length: int, seed: int) -> list[int]:
    """Draw token ids without special ones."""
    rng = random.Random(seed)
    return [rng.randrange(6, 390) for _ in range(length)]


class Driver:
    """Runs requests through a runner until each has its tokens.

    Attributes:
        results: Per request id, what each sampling step gave.
        failed: Per request id, the sentence of a row that failed; such a request stops.
    """

    def __init__(self, loaded: LoadedModel, *, num_blocks: int = 96, seed: int = 0) -> None:
        self.runner = ModelRunner(loaded, num_blocks)
        self.results: dict[str, list[SampledToken]] = {}
        self.failed: dict[str, str] = {}
        self._rng = random.Random(seed)
        self._free = list(range(num_blocks))
        self._rng.shuffle(self._free)
        self._slots: dict[str, int] = {}

    def step(self, shares: Sequence[tuple[SlotState, int]]) -> ModelRunnerOutput:
        """Compute so many new tokens of each request and append what is sampled."""
        plan = StepPlan(1)
        names: dict[int, SlotState] = {}
        decodes: list[int] = []
        for request, count in shares:
            end = request.num_computed_tokens + count
            fresh: list[int] = []
            while (len(request.block_table) + len(fresh)) * BLOCK_SIZE < end:
                fresh.append(self._free.pop())
            request.block_table.extend(fresh)
            slot = self._slots.get(request.request_id)
            if slot is None:
                slot = self._slots[request.request_id] = len(self._slots)
                plan.loads.append(load_of(request, slot))
            elif fresh:
                plan.new_blocks.append((slot, fresh))
            names[slot] = request
            if count == 1 and end == request.num_tokens:
                decodes.append(slot)
            else:
                plan.chunks.append(Chunk(slot, count, samples=end == request.num_tokens))
            request.num_computed_tokens = end
        plan.decodes = tuple(decodes)
        out = self.runner.execute(plan)
        for slot, sentence in out.failed.items():
            self.failed[names[slot].request_id] = sentence
        for slot, token in out.sampled.items():
            self.results.setdefault(names[slot].request_id, []).append(token)
            names[slot].token_ids.append(token.token_id)
        return out

    def release(self, request: SlotState) -> None:
        """Give the request's blocks back, to be the next ones handed out."""
        self._free.extend(request.block_table)
        del request.block_table[:]
        request.num_computed_tokens = 0
        del self._slots[request.request_id]
        self._slots[f"given back {len(self._slots)}"] = -1  # no slot is used twice

    def run(
        self, requests: Sequence[SlotState], num_tokens: int, *, chunk: int | None = None
    ) -> list[list[int]]:
        """Run all requests side by side until each has ``num_tokens`` output tokens.

        Args:
            requests: What to run.
            num_tokens: Output tokens of each.
            chunk: Prompt tokens per step; ``None`` computes whole prompts.
        """
        while pending := [
            r
            for r in requests
            if r.num_output_tokens < num_tokens and r.request_id not in self.failed
        ]:
            self.step([(r, self._share(r, chunk)) for r in pending])
        return [request.token_ids[request.num_prompt_tokens :] for request in requests]

    def _share(self, request: SlotState, chunk: int | None) -> int:
        missing = request.num_tokens - request.num_computed_tokens
        return missing if chunk is None else min(chunk, missing)


def greedy_reference(model: Any, prompt: Sequence[int], num_tokens: int) -> list[int]:
    """Return what transformers' own `generate` answers, end tokens ignored."""
    out = model.generate(
        torch.tensor([list(prompt)]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        max_new_tokens=num_tokens,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    found: list[int] = out[0, len(prompt) :].tolist()
    return found
