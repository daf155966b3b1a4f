"""An engine measured step by step: so many streams decode, or a prompt is read.

Everything goes through the engine's own ways (`engine.llm.LLM` and the core that it steps), on a
checkpoint as users have them, so whatever the engine does between two tokens is in the figures.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.core import EngineCore, ModelRunner
from engine.errors import ConfigError
from engine.llm import LLM
from engine.model.memory import give_back_memory
from engine.outputs import ModelRunnerOutput, StepFrame, StepPlan
from engine.request import EngineRequest
from engine.sampling_params import SamplingParams
from tools.gpu.results import NotHere

_WARM_STEPS = 6
_LONGEST_REPLY = 1024
GREEDY = SamplingParams(temperature=0.0, ignore_eos=True, max_tokens=_LONGEST_REPLY)
_ONE_TOKEN = SamplingParams(temperature=0.0, ignore_eos=True, max_tokens=1)
_STEP_TOKENS = 8192
"""New tokens in one step: what is measured is the card, not how finely prompts are cut."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Steps in which every stream decodes one token.

    Attributes:
        step_s: Median seconds from the end of one to the end of the next.
        host_s: Median seconds of a step in which this process did not wait for the runner.
        context: Mean tokens that a stream has stored.
        joining_s: Seconds until every stream had its first token.
        num_computed: Prompt tokens that were computed for that; the others were cached.
    """

    step_s: float
    host_s: float
    context: float
    joining_s: float
    num_computed: int


class WatchedRunner:
    """Notes how long somebody waited for a runner's results."""

    def __init__(self, runner: ModelRunner) -> None:
        self.runner = runner
        self.waited_s = 0.0

    def launch(self, plan: StepPlan) -> None:
        """Begin a step."""
        self.runner.launch(plan)

    def collect(self) -> ModelRunnerOutput:
        """Wait for the step that was launched first."""
        started = time.perf_counter()
        try:
            return self.runner.collect()
        finally:
            self.waited_s += time.perf_counter() - started


class EngineBench:
    """One engine.

    Args:
        folder: Of the checkpoint.
        most_streams: That decode at a time.
        context: Tokens of each, prompt and reply together.
        **settings: Of the engine, by the command line's names.

    Attributes:
        core: The engine's.
        context: As it was asked for.
        start_s: Seconds from nothing to a model that is ready.

    Raises:
        NotHere: This engine does not know a setting, or not this value of it.
    """

    def __init__(self, folder: Path, *, most_streams: int, context: int, **settings: Any) -> None:
        settings = {
            "max_num_seqs": most_streams,
            "max_num_batched_tokens": max(_STEP_TOKENS, most_streams),
            "max_num_queued_reqs": max(1024, most_streams),
            "max_model_len": context + _LONGEST_REPLY,
            "kv_cache_tokens": most_streams * (context + 64) + 2 * _LONGEST_REPLY,
            "policy": "fcfs",
            "host_cache_memory": 0,  # pinning it takes seconds, and nothing is moved there
            **settings,
        }
        started = time.perf_counter()
        try:
            self.llm = LLM(str(folder), **settings)
        except ConfigError as error:
            raise NotHere(error.message.partition(";")[0]) from error
        self.start_s = time.perf_counter() - started
        self.core: EngineCore = self.llm.core
        self._watched = WatchedRunner(self.core._runner)
        self.core._runner = self._watched
        self.context = context
        self._names = itertools.count()

    @property
    def runner(self) -> ModelRunner:
        """What the core steps, without the watch."""
        return self._watched.runner

    def decode(
        self, streams: int, steps: int, *, shared: int = 0, params: SamplingParams = GREEDY
    ) -> Decoded:
        """Let streams of the full context join, and time steps in which all of them decode.

        Prompts are the same each time, so what an earlier call computed is cached.

        Args:
            streams: How many.
            steps: That are timed; the last of them reaches the full context.
            shared: Tokens from the start that all prompts have in common.
            params: How to sample.
        """
        read_in = streams * self.context // _STEP_TOKENS  # while the last joins, the first decodes
        length = self.context - steps - _WARM_STEPS - read_in
        if shared:
            self._read_persona(shared)
        names = [f"stream-{next(self._names)}" for _ in range(streams)]
        prompts = [self._prompt(i, length, shared) for i in range(streams)]
        self._submit(names, prompts, params)
        said = dict.fromkeys(names, 0)
        started = time.perf_counter()
        computed = 0
        while not all(said.values()):
            computed += _take(self.core.step(), said)
        joining_s = time.perf_counter() - started
        for _ in range(_WARM_STEPS):
            _take(self.core.step(), said)
        context = length + statistics.mean(said.values()) + steps / 2
        taken, own = [], []
        for _ in range(steps):
            before = self._watched.waited_s
            started = time.perf_counter()
            _take(self.core.step(), said)
            taken.append(time.perf_counter() - started)
            own.append(taken[-1] - (self._watched.waited_s - before))
        self.core.cancel(names)
        self._drain()
        return Decoded(
            step_s=statistics.median(taken),
            host_s=statistics.median(own),
            context=context,
            joining_s=joining_s,
            num_computed=computed,
        )

    def read(self, tokens: int, *, rounds: int = 5) -> float:
        """Return the median seconds from submitting a new prompt to its first token."""
        seconds = []
        for _ in range(rounds + 1):
            name = f"prompt-{next(self._names)}"
            prompt = self._tokens(name, tokens)
            started = time.perf_counter()
            self._submit([name], [prompt], GREEDY)
            said = {name: 0}
            while not said[name]:
                _take(self.core.step(), said)
            seconds.append(time.perf_counter() - started)
            self.core.cancel([name])
            self._drain()
        return statistics.median(seconds[1:])

    def _read_persona(self, shared: int) -> None:
        """Have the beginning that streams share in the cache, as a character's prompt is."""
        name = f"persona-{next(self._names)}"
        self._submit([name], [self._tokens("persona", shared)], _ONE_TOKEN)
        self._drain()

    def close(self) -> None:
        """Give the device's memory back; the engine is of no use afterwards."""
        close = getattr(self.runner, "close", None)
        if close is not None:
            close()
        del self.llm, self.core, self._watched
        give_back_memory()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _prompt(self, index: int, length: int, shared: int) -> list[int]:
        return self._tokens("persona", shared) + self._tokens(f"own {index}", length - shared)

    def _tokens(self, seed: str, count: int) -> list[int]:
        rng = random.Random(seed)
        return rng.choices(range(10, self.core.info.vocab_size), k=count)

    def _submit(self, names: list[str], prompts: list[list[int]], params: SamplingParams) -> None:
        refused = self.core.submit(
            EngineRequest(request_id=name, prompt_token_ids=prompt, params=params)
            for name, prompt in zip(names, prompts, strict=True)
        )
        if refused.outputs:
            raise RuntimeError(f"refused: {refused.outputs[0].error_message}")

    def _drain(self) -> None:
        while self.core.has_work:
            self.core.step()


def _take(frame: StepFrame, said: dict[str, int]) -> int:
    """Count what each stream has said; returns the prompt tokens that the step computed."""
    for output in frame.outputs:
        if output.finish_reason is not None:
            raise RuntimeError(f"{output.request_id} ended: {output.error_message}")
        said[output.request_id] += len(output.token_ids)
    return frame.stats.prefill_tokens if frame.stats is not None else 0
