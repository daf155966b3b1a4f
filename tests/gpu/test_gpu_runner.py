"""The whole engine on the GPU's runner: the right tokens, launched before the last were read."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("msgspec")
pytest.importorskip("llguidance")

from engine.build import assemble_core
from engine.config import EngineConfig, ModelConfig
from engine.core import EngineCore
from engine.gpu.attention.choose_attention import AttentionChoice
from engine.gpu.attention.flash_attention import FlashAttention
from engine.gpu.linear.weights import DecoderWeights
from engine.gpu.step.slot_step import decode_sizes
from engine.gpu.step.step_kinds import StepKind
from engine.model.gpu_forward import GpuForward
from engine.model.gpu_runner import GpuRunner
from engine.model.loader import LoadedModel, load_model
from engine.outputs import TokenOutput
from engine.request import EngineRequest, FinishReason
from engine.sampling_params import Grammar, SamplingParams
from tests.gpu.decoders import take_model_apart
from tests.gpu.paged_reference import with_kvcache
from tests.support.tiny_models import make_checkpoint, make_model

pytestmark = pytest.mark.slow

FAMILY = "gemma3_text"
"""Head norms, norms before and after, a window in one of its layers."""
SIZES: dict[str, Any] = {
    "num_hidden_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"],
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
REPLY = 3
POISON = 13
"""A token whose embedding is not a number."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a tiny model."""
    return make_checkpoint(tmp_path_factory.mktemp("model"), FAMILY, **SIZES)


@pytest.fixture(scope="module")
def on_modules(checkpoint: Path) -> LoadedModel:
    """The model on transformers' own modules, on a CPU: the truth."""
    return load_model(ModelConfig(model=str(checkpoint), device="cpu", kernels="torch"))


@pytest.fixture(scope="module")
def loaded(on_modules: LoadedModel) -> LoadedModel:
    """The model on the GPU's kernels, wherever they run here."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = make_model(FAMILY, **SIZES).to(device)
    with torch.inference_mode():
        weights = DecoderWeights(take_model_apart(model), device)
        weights.embedding = weights.embedding.clone()
        weights.embedding[POISON] = float("nan")
    return replace(
        on_modules, make_forward=partial(GpuForward, weights), forward="triton", device=device
    )


def make_core(loaded: LoadedModel, **settings: Any) -> EngineCore:
    """An engine over a loaded model that launches steps ahead."""
    settings = {"kv_cache_tokens": 2048, "max_num_seqs": 8, "look_ahead": True, **settings}
    config = EngineConfig.from_flat(model=loaded.name, **settings)
    return assemble_core(loaded, config, rehearses=loaded.device.type == "cuda")


def random_prompt(length: int, seed: int) -> list[int]:
    """Without special tokens, and without the poisoned one."""
    return random.Random(seed).choices(range(20, 390), k=length)


def request(name: str, prompt: Sequence[int], **params: Any) -> EngineRequest:
    """Of a few tokens, greedy unless something else is said."""
    params = {"temperature": 0.0, "max_tokens": REPLY, "ignore_eos": True, **params}
    return EngineRequest(
        request_id=name, prompt_token_ids=list(prompt), params=SamplingParams(**params)
    )


def finish(core: EngineCore) -> dict[str, list[int]]:
    """Step until idle; return each request's tokens."""
    said: dict[str, list[int]] = defaultdict(list)
    for output in outputs_of(core):
        said[output.request_id] += output.token_ids
    return said


def outputs_of(core: EngineCore) -> list[TokenOutput]:
    """Step until idle; return everything."""
    found = []
    while core.has_work:
        found += core.step().outputs
        core.scheduler.check_integrity()
    return found


def replies(loaded: LoadedModel, requests: Sequence[EngineRequest], **settings: Any) -> Any:
    """All at once through an engine of their own."""
    core = make_core(loaded, **settings)
    core.submit(requests)
    return finish(core)


CROWD = [
    request("persona one", [*range(20, 37), 100]),
    request("persona two", [*range(20, 37), 101, 102]),
    request("short", random_prompt(3, seed=1)),
    request("shorter", random_prompt(2, seed=2)),
]
FEW = CROWD[2:]


def test_greedy_replies_are_transformers_own(loaded: LoadedModel, on_modules: LoadedModel) -> None:
    """In a batch, in chunks of odd sizes, with a beginning that two share."""
    found = replies(loaded, CROWD, max_num_batched_tokens=13)
    assert found == replies(on_modules, CROWD, look_ahead=False)


def test_no_word_changes_when_somebody_is_preempted(
    loaded: LoadedModel, on_modules: LoadedModel
) -> None:
    """Blocks for two, requests for four, and slots that find new holders."""
    crowd = [request(f"r{i}", random_prompt(14 + i, seed=i)) for i in range(3)]
    tight = {"kv_cache_tokens": 32, "policy": "fcfs", "max_num_seqs": 2}
    assert replies(loaded, crowd, **tight) == replies(on_modules, crowd, look_ahead=False)


def test_penalties_bias_and_bans_act_as_they_do_on_a_cpu(
    loaded: LoadedModel, on_modules: LoadedModel
) -> None:
    """Greedy, so that nothing but them decides; beside somebody without any."""
    prompt = [*random_prompt(5, seed=3), *random_prompt(5, seed=3)]
    favourite = replies(on_modules, [request("a", prompt)], look_ahead=False)["a"][0]
    wishes: dict[str, dict[str, Any]] = {
        "none": {},
        "repetition": {"repetition_penalty": 1.8},
        "counts": {"frequency_penalty": 1.5, "presence_penalty": 1.0},
        "dry": {"dry_multiplier": 4.0, "dry_allowed_length": 1},
        "banned": {"banned_token_ids": [favourite]},
        "allowed": {"allowed_token_ids": [30, 31, 32]},
        "biased": {"logit_bias": {40: 9.0, favourite: -9.0}},
        "minimum": {"min_tokens": 3, "stop_token_ids": [favourite], "ignore_eos": False},
    }
    crowd = [request(name, prompt, **wish) for name, wish in wishes.items()]
    found = replies(loaded, crowd)
    assert found == replies(on_modules, crowd, look_ahead=False)
    assert len({tuple(tokens) for tokens in found.values()}) > 4


def test_a_seeded_reply_is_the_same_alone_and_in_a_crowd(loaded: LoadedModel) -> None:
    """Filters and all; and another seed says something else."""
    wish = {"temperature": 1.5, "top_p": 0.95, "top_k": 200, "min_p": 0.001}
    prompt = random_prompt(7, seed=4)
    seeded = request("seeded", prompt, seed=5, **wish)
    other = request("other", prompt, seed=6, **wish)
    alone = replies(loaded, [seeded])["seeded"]
    together = replies(loaded, [*FEW, other, seeded], max_num_batched_tokens=9)
    assert together["seeded"] == alone
    assert together["other"] != alone


def test_log_probabilities_are_those_of_the_model(
    loaded: LoadedModel, on_modules: LoadedModel
) -> None:
    """Before bias; the chosen token's and the likeliest ones'."""
    asked = request("a", random_prompt(5, seed=5), logprobs=3, logit_bias={33: 50.0})
    plain = request("b", random_prompt(5, seed=6))
    found, expected = (
        [o.logprobs[0] for o in outputs_of(core) if o.request_id == "a" and o.logprobs]
        for core in (_core_with(loaded, asked, plain), _core_with(on_modules, asked, plain))
    )
    assert len(found) == REPLY
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.chosen.token_id == theirs.chosen.token_id == 33
        assert [t.token_id for t in ours.top] == [t.token_id for t in theirs.top]
        values = [t.logprob for t in (ours.chosen, *ours.top)]
        assert values == pytest.approx([t.logprob for t in (theirs.chosen, *theirs.top)], abs=1e-4)


def test_grammars_are_followed_though_steps_are_launched_ahead(
    loaded: LoadedModel, on_modules: LoadedModel
) -> None:
    """What a grammar allows depends on a token that has to be read first."""
    grammar = Grammar(kind="regex", source="[a-z]{2,5}")
    crowd = [request("bound", random_prompt(5, seed=7), grammar=grammar, ignore_eos=False)]
    crowd += FEW
    assert replies(loaded, crowd) == replies(on_modules, crowd, look_ahead=False)


def test_a_request_that_turns_into_no_number_harms_nobody(loaded: LoadedModel) -> None:
    """It ends with an error, and its slot and blocks serve the next as if nothing had been."""
    core = make_core(loaded, max_num_seqs=3)
    core.submit([*FEW, request("poisoned", [30, POISON, 31])])
    outputs = outputs_of(core)
    ends = {o.request_id: o.finish_reason for o in outputs if o.finish_reason is not None}
    assert ends.pop("poisoned") is FinishReason.ERROR
    assert set(ends.values()) == {FinishReason.LENGTH}
    core.submit(FEW)
    assert finish(core) == replies(loaded, FEW)


def test_a_step_left_to_flash_attention_says_the_same(loaded: LoadedModel) -> None:
    """Plain torch plays it, over the pages of this engine's own step."""

    def with_flash(num_blocks: int) -> GpuForward:
        forward = loaded.make_forward(num_blocks)
        assert isinstance(forward, GpuForward)
        forward.attention = AttentionChoice(FlashAttention(with_kvcache), True, True)
        return forward

    by_flash = replace(loaded, make_forward=with_flash)
    crowd = [*FEW, request("seeded", random_prompt(18, seed=8), temperature=1.0, seed=3)]
    assert replies(by_flash, crowd) == replies(loaded, crowd)


@pytest.mark.usefixtures("poisoned_memory")
def test_a_step_of_padding_alone_computes_with_no_memory_that_nobody_wrote(
    loaded: LoadedModel,
) -> None:
    """As graphs are captured: no token is drawn, and none is looked up."""
    runner = GpuRunner(loaded, 4, num_slots=2)
    sizes = decode_sizes(2, 1, runner.planner)
    kind = StepKind(sizes, samples=True, changes=True, filters=True, reports=True)
    with torch.inference_mode():
        runner.graphs.warm_up(kind)
    assert not runner._requests.num_tokens.any()
    assert not runner.store.keys[0].any()


def _core_with(loaded: LoadedModel, *requests: EngineRequest) -> EngineCore:
    core = make_core(loaded, look_ahead=loaded.forward == "triton")
    assert isinstance(core._runner, GpuRunner) == (loaded.forward == "triton")
    core.submit(requests)
    return core
