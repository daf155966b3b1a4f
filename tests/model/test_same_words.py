"""Same seed, same words, whatever the load: tokens and log probabilities, bit by bit.

On a CPU as any other test. On a GPU, by ``tools/gpu_check.sh DIR faults``, in the engine's
deterministic mode, in the 16 bits that models are served in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.build import build_core
from engine.config import EngineConfig
from engine.core import EngineCore
from engine.outputs import TokenLogprobs
from engine.request import EngineRequest
from engine.sampling_params import SamplingParams
from tests.model.driver import random_prompt
from tests.support.device import DEVICE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("family", ["qwen3", "gemma2"]),
]

REPLY = 16
LENGTH = 50
WATCHED = SamplingParams(
    temperature=0.9, top_p=0.95, seed=11, logprobs=5, max_tokens=REPLY, ignore_eos=True
)
Said = list[tuple[int, TokenLogprobs]]


@pytest.fixture
def make_core(checkpoint: Callable[[str], Path], family: str) -> Callable[..., EngineCore]:
    """Return an engine of the family, as it runs where the tests run."""

    def make(**settings: Any) -> EngineCore:
        chosen = {"device": DEVICE, "dtype": "float32", "kv_cache_tokens": 8192, "num_threads": 1}
        if DEVICE == "cuda":
            chosen |= {"dtype": "bfloat16", "deterministic": True}
        return build_core(
            EngineConfig.from_flat(model=str(checkpoint(family)), **chosen | settings)
        )

    return make


def watched(name: str = "watched") -> EngineRequest:
    """The request whose words are compared."""
    return EngineRequest(
        request_id=name, prompt_token_ids=random_prompt(LENGTH, seed=4), params=WATCHED
    )


def mate(number: int) -> EngineRequest:
    """Somebody else."""
    params = SamplingParams(temperature=1.0, seed=number, max_tokens=REPLY + 9, ignore_eos=True)
    prompt = random_prompt(5 + number % 40, seed=100 + number)
    return EngineRequest(request_id=f"mate {number}", prompt_token_ids=prompt, params=params)


def finish(core: EngineCore) -> dict[str, Said]:
    """Step until nothing is left."""
    said: dict[str, Said] = defaultdict(list)
    while core.has_work:
        for output in core.step().outputs:
            assert output.error_message is None
            pairs = zip(output.token_ids, output.logprobs or [], strict=False)
            said[output.request_id] += pairs
    return said


def test_in_a_batch_of_64(make_core: Callable[..., EngineCore]) -> None:
    """As alone."""
    alone, crowd = make_core(), make_core(max_num_seqs=64)
    alone.submit([watched()])
    crowd.submit([*map(mate, range(30)), watched(), *map(mate, range(30, 63))])
    assert finish(crowd)["watched"] == finish(alone)["watched"]


def test_with_the_prompt_in_chunks(make_core: Callable[..., EngineCore]) -> None:
    """Of any size."""
    found = []
    for chunk in (512, 1, 7, 16, 33):
        core = make_core(max_num_batched_tokens=chunk)
        core.submit([watched()])
        found.append(finish(core)["watched"])
    assert all(said == found[0] for said in found)


def test_after_a_prefix_hit(make_core: Callable[..., EngineCore]) -> None:
    """What was computed for somebody else is as good as one's own."""
    core = make_core()
    core.submit([watched("first")])
    first = finish(core)["first"]
    core.submit([watched("second")])
    assert finish(core)["second"] == first


def test_after_a_preemption(make_core: Callable[..., EngineCore]) -> None:
    """Its words so far are read again as a prompt is."""
    alone = make_core()
    alone.submit([watched()])
    tight = make_core(kv_cache_tokens=128, policy="fcfs", enable_prefix_caching=False)
    tight.submit([mate(33), watched()])
    preempted = 0
    said: Said = []
    while tight.has_work:
        frame = tight.step()
        preempted += frame.stats.num_preempted if frame.stats is not None else 0
        for output in frame.outputs:
            if output.request_id == "watched":
                said += zip(output.token_ids, output.logprobs or [], strict=True)
    assert preempted > 0
    assert said == finish(alone)["watched"]
