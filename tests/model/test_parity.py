"""The whole engine against transformers' own ``generate()``: greedy, float32, token by token.

Each family under each condition; the reference is the untouched model, one prompt at a time.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from engine.build import assemble_core
from engine.config import DType, EngineConfig, Kernels
from engine.core import EngineCore
from engine.model.loader import LoadedModel
from engine.request import EngineRequest, FinishReason
from engine.sampling_params import SamplingParams
from tests.model.conftest import Load
from tests.model.driver import random_prompt
from tests.support.tiny_models import FAMILIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize(
        ("family", "kernels"),
        [
            *((family, "auto") for family in FAMILIES),
            *((family, "torch") for family in ("llama", "gemma2", "smollm3")),
        ],
    ),
]

REPLY = 20
CHUNKED_PROMPT = 37


class Reference:
    """What transformers says, remembered per family and prompt."""

    def __init__(self, untouched: Callable[[str], Any]) -> None:
        self._untouched = untouched
        self._replies: dict[tuple[str, tuple[int, ...]], list[int]] = {}

    def reply(self, family: str, prompt: Sequence[int]) -> list[int]:
        """Return the greedy reply of ``REPLY`` tokens, shorter where an end token comes."""
        key = (family, tuple(prompt))
        if key not in self._replies:
            tokens = torch.tensor([list(prompt)])
            with torch.inference_mode():
                said = self._untouched(family).generate(
                    tokens,
                    attention_mask=torch.ones_like(tokens),
                    max_new_tokens=REPLY,
                    do_sample=False,
                )
            self._replies[key] = said[0, len(prompt) :].tolist()
        return self._replies[key]


@pytest.fixture(scope="session")
def reference(untouched: Callable[[str], Any]) -> Reference:
    """The reference, shared by all tests of the session."""
    return Reference(untouched)


def make_core(loaded: LoadedModel, **settings: Any) -> EngineCore:
    """Return a fresh core over a model that is loaded already."""
    settings = {"kv_cache_tokens": 4096, **settings}
    return assemble_core(loaded, EngineConfig.from_flat(model=loaded.name, **settings))


def greedy(name: str, prompt: Sequence[int]) -> EngineRequest:
    """Return a greedy request of ``REPLY`` tokens."""
    params = SamplingParams(temperature=0.0, max_tokens=REPLY)
    return EngineRequest(request_id=name, prompt_token_ids=list(prompt), params=params)


def finish(core: EngineCore, said: dict[str, list[int]] | None = None) -> dict[str, list[int]]:
    """Step until idle; return each request's tokens."""
    said = defaultdict(list) if said is None else said
    while core.has_work:
        for output in core.step().outputs:
            said[output.request_id] += output.token_ids
        core.scheduler.check_integrity()
    assert core.scheduler.kv_cache.num_used_blocks == 0
    return said


@pytest.mark.parametrize("length", [1, 5, 16, 48, 100])
def test_alone(
    family: str,
    kernels: Kernels,
    length: int,
    load: Load,
    reference: Reference,
) -> None:
    """A prompt by itself, shorter and longer than a block and than the windows."""
    prompt = random_prompt(length, seed=length)
    core = make_core(load(family, kernels=kernels))
    core.submit([greedy("a", prompt)])
    assert finish(core)["a"] == reference.reply(family, prompt)


@pytest.mark.parametrize("chunk", range(1, CHUNKED_PROMPT + 2))
def test_at_every_chunk_size(
    family: str,
    kernels: Kernels,
    chunk: int,
    load: Load,
    reference: Reference,
) -> None:
    """The prompt is read in chunks of each size from 1 to more than all of it."""
    prompt = random_prompt(CHUNKED_PROMPT, seed=7)
    core = make_core(load(family, kernels=kernels), max_num_batched_tokens=chunk)
    core.submit([greedy("a", prompt)])
    assert finish(core)["a"] == reference.reply(family, prompt)


@pytest.mark.parametrize("seed", range(3))
def test_in_mixed_batches_with_random_arrivals_and_aborts(
    family: str,
    kernels: Kernels,
    seed: int,
    load: Load,
    reference: Reference,
) -> None:
    """Requests come and are called off at random; every surviving reply is right."""
    rng = random.Random(seed)
    core = make_core(
        load(family, kernels=kernels),
        max_num_seqs=rng.choice([3, 5]),
        max_num_batched_tokens=rng.choice([11, 40]),
    )
    prompts = {f"r{i}": random_prompt(rng.randint(1, 90), seed=100 + i) for i in range(10)}
    waiting, aborted = list(prompts), set()
    said: dict[str, list[int]] = defaultdict(list)
    while waiting or core.has_work:
        if waiting and rng.random() < 0.4:
            core.submit([greedy(name := waiting.pop(), prompts[name])])
        if rng.random() < 0.06 and said:
            name = rng.choice(list(said))
            if core.cancel([name]).outputs:
                aborted.add(name)
        for output in core.step().outputs:
            said[output.request_id] += output.token_ids
        core.scheduler.check_integrity()
    for name, prompt in prompts.items():
        expected = reference.reply(family, prompt)
        assert said[name] == (expected[: len(said[name])] if name in aborted else expected), name


@pytest.mark.parametrize("shared", [3, 16, 30, 47])
def test_on_prefix_cache_hits(
    family: str,
    kernels: Kernels,
    shared: int,
    load: Load,
    reference: Reference,
) -> None:
    """Prompts that share 3, 16, 30 or 47 tokens with one that ran before, and with each other."""
    stem = random_prompt(shared, seed=1)
    first, second = stem + random_prompt(20, seed=2), stem + random_prompt(9, seed=3)
    core = make_core(load(family, kernels=kernels))
    core.submit([greedy("first", first)])
    said = finish(core)
    core.submit([greedy("second", second), greedy("again", first)])
    cached = {}
    while core.has_work:
        for output in core.step().outputs:
            said[output.request_id] += output.token_ids
            cached[output.request_id] = output.num_cached_tokens
    assert cached == {"second": shared, "again": len(first) - 1}
    assert said["second"] == reference.reply(family, second)
    assert said["first"] == said["again"] == reference.reply(family, first)


@pytest.mark.parametrize("chunk", [5, 64])
def test_with_preemption_under_a_tiny_budget(
    family: str,
    kernels: Kernels,
    chunk: int,
    load: Load,
    reference: Reference,
) -> None:
    """Six requests on blocks for two: somebody is preempted and recomputed, and no word changes."""
    core = make_core(
        load(family, kernels=kernels),
        kv_cache_tokens=112,
        max_num_batched_tokens=chunk,
        enable_prefix_caching=chunk == 64,
        policy="fcfs",  # the others let nobody join whose reply would not find room
    )
    prompts = {f"r{i}": random_prompt(28 + i, seed=50 + i) for i in range(6)}
    core.submit([greedy(name, prompt) for name, prompt in prompts.items()])
    said: dict[str, list[int]] = defaultdict(list)
    preempted = 0
    while core.has_work:
        frame = core.step()
        assert frame.stats is not None
        preempted += frame.stats.num_preempted
        for output in frame.outputs:
            said[output.request_id] += output.token_ids
        core.scheduler.check_integrity()
    assert preempted > 0
    assert said == {name: reference.reply(family, prompt) for name, prompt in prompts.items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_seeded_reply_does_not_depend_on_its_batch_mates(
    family: str, kernels: Kernels, dtype: DType, load: Load
) -> None:
    """The same seeded request, alone and among eight others that come and go."""
    prompt = random_prompt(30, seed=4)
    params = SamplingParams(temperature=1.0, top_p=0.95, seed=11, max_tokens=REPLY)
    request = EngineRequest(request_id="seeded", prompt_token_ids=prompt, params=params)
    alone = make_core(load(family, dtype, kernels))
    alone.submit([request])
    expected = finish(alone)["seeded"]
    crowd = make_core(load(family, dtype, kernels), max_num_batched_tokens=64)
    others = [random_prompt(5 + 11 * i, seed=60 + i) for i in range(8)]
    crowd.submit([greedy(f"o{i}", others[i]) for i in range(4)])
    for _ in range(3):
        crowd.step()
    crowd.submit([request])
    crowd.submit([greedy(f"o{i}", others[i]) for i in range(4, 8)])
    assert finish(crowd)["seeded"] == expected


def test_an_end_token_ends_the_reply_where_generate_ends_it(
    family: str, kernels: Kernels, load: Load, reference: Reference
) -> None:
    """A token of the reply, made the end token, ends it there and is its last."""
    prompt = random_prompt(12, seed=12)
    full = reference.reply(family, prompt)
    end = full[REPLY // 2]
    core = make_core(load(family, kernels=kernels))
    params = SamplingParams(temperature=0.0, max_tokens=REPLY, stop_token_ids=[end])
    core.submit([EngineRequest(request_id="a", prompt_token_ids=prompt, params=params)])
    said: list[int] = []
    reasons = []
    while core.has_work:
        for output in core.step().outputs:
            said += output.token_ids
            reasons.append(output.finish_reason)
    assert said == full[: full.index(end) + 1]
    assert reasons[-1] is FinishReason.STOP
