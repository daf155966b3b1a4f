"""A scheduler for tests: plans steps by hand, with odd chunks and scattered blocks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from engine.config import BLOCK_SIZE
from engine.model.loader import LoadedModel
from engine.model.runner import ModelRunner
from engine.outputs import (
    ModelRunnerOutput,
    SampledToken,
    ScheduledSequence,
    SchedulerOutput,
)
from engine.request import EngineRequest, Request
from engine.sampling_params import SamplingParams

GREEDY = SamplingParams(temperature=0.0)


def make_request(
    prompt: Sequence[int],
    params: SamplingParams = GREEDY,
    *,
    name: str = "r",
    stops: Sequence[int] = (),
) -> Request:
    """Build a request as the scheduler would hold it."""
    return Request(
        EngineRequest(request_id=name, prompt_token_ids=list(prompt), params=params),
        stop_token_ids=frozenset(stops),
        arrival_time=0.0,
        sequence_number=0,
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
        self._tables: dict[str, list[int]] = {}

    def step(self, shares: Sequence[tuple[Request, int]]) -> ModelRunnerOutput:
        """Compute so many new tokens of each request and append what is sampled."""
        sequences = []
        for request, count in shares:
            start, end = request.num_computed_tokens, request.num_computed_tokens + count
            table = self._tables.setdefault(request.request_id, [])
            while len(table) * BLOCK_SIZE < end:
                table.append(self._free.pop())
            samples = end == request.num_tokens
            sequences.append(ScheduledSequence(request, start, count, list(table), samples))
        out = self.runner.execute(SchedulerOutput(sequences))
        self.failed.update(out.failed)
        for sequence in sequences:
            request = sequence.request
            request.num_computed_tokens += sequence.num_tokens
            if request.request_id in out.sampled:
                token = out.sampled[request.request_id]
                self.results.setdefault(request.request_id, []).append(token)
                request.token_ids.append(token.token_id)
        return out

    def release(self, request: Request) -> None:
        """Give the request's blocks back, to be the next ones handed out."""
        self._free.extend(self._tables.pop(request.request_id, []))
        request.num_computed_tokens = 0

    def run(
        self, requests: Sequence[Request], num_tokens: int, *, chunk: int | None = None
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

    def _share(self, request: Request, chunk: int | None) -> int:
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
