"""The runner against transformers' own `generate`, and rows against their batch-mates."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.config import BLOCK_SIZE, DType, Kernels, ModelConfig
from engine.cost_model import StepShape
from engine.model.loader import load_model
from engine.model.rehearsal import rehearse
from engine.model.runner import ModelRunner
from engine.model.slot_state import SlotState
from engine.outputs import Chunk, SampledToken, StepPlan
from engine.sampling_params import SamplingParams
from tests.model.conftest import Load
from tests.model.driver import (
    GREEDY,
    Driver,
    greedy_reference,
    load_of,
    make_request,
    random_prompt,
)
from tests.support.tiny_models import FAMILIES, make_model, save_model

Untouched = Callable[[str], Any]
EVERY_FAMILY = pytest.mark.parametrize("family", sorted(FAMILIES))
WATCHED = SamplingParams(temperature=0.9, top_p=0.95, seed=11, logprobs=20)


def whole_prompt(request: SlotState) -> StepPlan:
    """Load a sequence into slot 0 and compute all that is missing of it."""
    count = request.num_tokens - request.num_computed_tokens
    return StepPlan(1, loads=[load_of(request, 0)], chunks=[Chunk(0, count, samples=True)])


@EVERY_FAMILY
def test_a_whole_prompt_gives_the_words_of_generate(
    load: Load, untouched: Untouched, family: str
) -> None:
    """A prompt computed in one step, then decodes past the window, equal `generate`."""
    prompt = random_prompt(41, seed=1)
    found = Driver(load(family)).run([make_request(prompt)], 24)
    assert found == [greedy_reference(untouched(family), prompt, 24)]


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 2, 5, 16, 17, 40])
@EVERY_FAMILY
def test_chunks_give_the_words_of_generate(
    load: Load, untouched: Untouched, family: str, chunk: int
) -> None:
    """A prompt cut at any chunk size over scattered blocks equals `generate`."""
    prompt = random_prompt(53, seed=chunk)
    found = Driver(load(family), seed=chunk).run([make_request(prompt)], 12, chunk=chunk)
    assert found == [greedy_reference(untouched(family), prompt, 12)]


@pytest.mark.slow
@EVERY_FAMILY
def test_a_mixed_batch_gives_the_words_of_generate(
    load: Load, untouched: Untouched, family: str
) -> None:
    """Prompts of many lengths that join while others decode each equal `generate`."""
    lengths = [1, 3, 15, 16, 17, 64, 90]
    prompts = [random_prompt(length, seed=length) for length in lengths]
    requests = [make_request(p, name=f"r{i}") for i, p in enumerate(prompts)]
    driver = Driver(load(family), seed=3)
    driver.run(requests[:3], 4, chunk=7)
    driver.run(requests[:5], 7, chunk=7)
    found = driver.run(requests, 14, chunk=7)
    assert found == [greedy_reference(untouched(family), p, 14) for p in prompts]


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_blocks_of_others_leave_no_trace(load: Load, untouched: Untouched, family: str) -> None:
    """A request that inherits blocks full of another's keys answers as with fresh ones."""
    driver = Driver(load(family), num_blocks=6)
    first = make_request(random_prompt(60, seed=5), name="first")
    driver.run([first], 20)
    driver.release(first)
    prompt = random_prompt(50, seed=6)
    found = driver.run([make_request(prompt, name="second")], 16)
    assert found == [greedy_reference(untouched(family), prompt, 16)]


def test_recomputing_after_preemption_changes_nothing(load: Load, untouched: Untouched) -> None:
    """A request that lost its blocks in mid-reply goes on with the same words."""
    prompt = random_prompt(30, seed=8)
    driver = Driver(load("qwen3"))
    request = make_request(prompt)
    driver.run([request], 9)
    driver.release(request)
    found = driver.run([request], 20, chunk=11)
    assert found == [greedy_reference(untouched("qwen3"), prompt, 20)]


def test_a_copied_block_carries_its_prefix(load: Load, untouched: Untouched) -> None:
    """A second request goes on from a copy of a partly filled block."""
    prompt = random_prompt(24, seed=9)
    runner = ModelRunner(load("llama"), 8)
    first = make_request(prompt, name="first")
    first.block_table = array("i", [5, 2])
    runner.execute(whole_prompt(first))
    other = [*prompt[:20], 7, 8, 9]
    second = make_request(other, name="second")
    second.num_computed_tokens, second.block_table = 20, array("i", [5, 6])
    plan = whole_prompt(second)
    plan.block_copies.append((2, 6))
    out = runner.execute(plan)
    expected = greedy_reference(untouched("llama"), other, 1)
    assert [out.sampled[0].token_id] == expected


def test_block_copies_read_before_they_write(load: Load, untouched: Untouched) -> None:
    """Two blocks may change places in one plan."""
    prompt = random_prompt(32, seed=10)
    runner = ModelRunner(load("llama"), 4)
    first = make_request(prompt, name="first")
    first.block_table = array("i", [0, 1])
    runner.execute(whole_prompt(first))
    second = make_request([*prompt, 9], name="second")
    second.num_computed_tokens, second.block_table = 32, array("i", [1, 0, 2])
    plan = whole_prompt(second)
    plan.block_copies += [(0, 1), (1, 0)]
    out = runner.execute(plan)
    expected = greedy_reference(untouched("llama"), [*prompt, 9], 1)
    assert [out.sampled[0].token_id] == expected


def test_a_step_that_catches_up_with_nobody_samples_nothing(load: Load) -> None:
    """Chunks short of their prompts bring no token."""
    out = Driver(load("llama")).step([(make_request(random_prompt(20, seed=1)), 7)])
    assert out.sampled == {}
    assert out.failed == {}


def test_exactly_the_sequences_that_sample_are_reported(load: Load) -> None:
    """In a mixed step only those whose share reaches their end get a token."""
    done = make_request(random_prompt(6, seed=1), name="done")
    partial = make_request(random_prompt(20, seed=2), name="partial")
    out = Driver(load("llama")).step([(done, 6), (partial, 9)])
    assert set(out.sampled) == {0}


def test_an_empty_plan_is_allowed(load: Load) -> None:
    """A plan may hold block copies alone."""
    runner = ModelRunner(load("llama"), 4)
    assert runner.execute(StepPlan(1, block_copies=[(0, 1)])).sampled == {}


def test_the_kv_memory_is_the_budget(load: Load) -> None:
    """What is held is blocks times block size times the cost of a token."""
    loaded = load("gemma2")
    runner = ModelRunner(loaded, 7)
    assert runner.kv_bytes == 7 * BLOCK_SIZE * loaded.kv_bytes_per_token


def test_warming_up_leaves_no_trace(load: Load, untouched: Untouched) -> None:
    """After a warm-up the runner answers as a fresh one."""
    driver = Driver(load("olmo2"), num_blocks=4)
    rehearse(driver.runner, 3)
    prompt = random_prompt(17, seed=3)
    found = driver.run([make_request(prompt)], 6)
    assert found == [greedy_reference(untouched("olmo2"), prompt, 6)]


def test_a_rehearsal_tells_what_each_of_its_steps_held(load: Load) -> None:
    """A block of prompt and a token for each, behind as much context as was asked for."""
    runner = ModelRunner(load("llama"), 4)
    plain, deep = (rehearse(runner, 3, context=context) for context in (0, 40))
    assert [shape for shape, _ in plain] == [StepShape(0, 45, 45), StepShape(3, 0, 48)]
    assert [shape for shape, _ in deep] == [StepShape(0, 45, 141), StepShape(3, 0, 144)]
    assert all(seconds > 0 for _, seconds in plain + deep)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@EVERY_FAMILY
def test_a_row_does_not_notice_its_batch_mates(load: Load, family: str, dtype: DType) -> None:
    """A seeded reply and all of its log probabilities are the same bits alone and in company."""
    prompt = random_prompt(37, seed=4)

    def watched(mates: int) -> list[SampledToken]:
        driver = Driver(load(family, dtype), num_blocks=160, seed=mates)
        request = make_request(prompt, WATCHED, name="watched")
        driver.step([(request, 37)])
        company = [
            make_request(random_prompt(5 + 13 * i, seed=i), WATCHED, name=f"mate{i}")
            for i in range(mates)
        ]
        order = [*company[: mates // 2], request, *company[mates // 2 :]]
        driver.run(order, 16)
        return driver.results["watched"][:16]

    alone = watched(0)
    for mates in (1, 2, 4, 6, 9):
        assert watched(mates) == alone


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_a_row_that_breaks_fails_alone(
    untouched: Untouched, tmp_path: Path, kernels: Kernels
) -> None:
    """Logits that are not finite end one request; the others and its heirs go on unharmed."""
    model = make_model("llama")
    model.get_input_embeddings().weight[395] = float("nan")
    folder = save_model(model, tmp_path)
    loaded = load_model(ModelConfig(model=str(folder), device="cpu", kernels=kernels))
    prompt = random_prompt(20, seed=12)
    broken = make_request([*random_prompt(9, seed=13), 395, 7], name="broken")
    fine = make_request(prompt, name="fine")
    driver = Driver(loaded, num_blocks=8)
    driver.run([broken, fine], 8)
    assert "not a finite number" in driver.failed["broken"]
    expected = greedy_reference(untouched("llama"), prompt, 8)
    assert fine.token_ids[fine.num_prompt_tokens :] == expected
    driver.release(broken)
    heir = make_request(prompt, name="heir")
    assert driver.run([heir], 8) == [expected]


def test_a_seed_gives_the_same_words_in_any_chunks(load: Load) -> None:
    """The draw depends on the seed and the place in the reply, not on how the prompt was cut."""
    prompt = random_prompt(45, seed=14)
    params = SamplingParams(temperature=1.0, seed=5)
    replies = [
        Driver(load("llama"), seed=i).run([make_request(prompt, params)], 20, chunk=chunk)
        for i, chunk in enumerate([None, 4, 19])
    ]
    assert replies[0] == replies[1] == replies[2]


def test_requests_with_other_parameters_share_a_step(load: Load, untouched: Untouched) -> None:
    """A greedy request beside sampling ones answers as alone."""
    prompt = random_prompt(12, seed=15)
    greedy = make_request(prompt, GREEDY, name="greedy")
    others = [
        make_request(prompt, SamplingParams(temperature=1.5, seed=i, top_k=i * 3), name=f"r{i}")
        for i in range(4)
    ]
    found = Driver(load("llama")).run([greedy, *others], 10)
    assert found[0] == greedy_reference(untouched("llama"), prompt, 10)
    assert len({tuple(reply) for reply in found}) == 5
