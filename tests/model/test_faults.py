"""What goes wrong in an engine with a real model stays with whom it befell.

On a CPU as any other test; on a GPU by ``tools/gpu_check.sh DIR faults``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from engine.build import assemble_core
from engine.config import EngineConfig
from engine.core import EngineCore, ModelRunner
from engine.errors import ConfigError
from engine.llm import LLM
from engine.model.loader import LoadedModel
from engine.outputs import ModelRunnerOutput, StepPlan
from engine.request import EngineRequest, FinishReason
from engine.sampling_params import SamplingParams
from tests.model.conftest import Load
from tests.model.driver import random_prompt
from tests.support.device import DEVICE
from tests.support.tiny_models import make_model, save_model

pytestmark = pytest.mark.slow

REPLY = 12
BAD = 395
"""A token that breaks whoever reads it, in a test that says so; nobody says it by himself."""
ON_A_GPU = pytest.mark.skipif(DEVICE != "cuda", reason="asks a GPU")


def core_of(loaded: LoadedModel, **settings: object) -> EngineCore:
    """An engine that looks one step ahead, as on a GPU, over a model that is loaded already."""
    chosen: dict[str, object] = {"kv_cache_tokens": 4096, "look_ahead": True, **settings}
    return assemble_core(loaded, EngineConfig.from_flat(model=loaded.name, **chosen))


def asked(name: str, prompt: list[int], max_tokens: int = REPLY) -> EngineRequest:
    """A greedy request."""
    params = SamplingParams(
        temperature=0.0, max_tokens=max_tokens, ignore_eos=True, banned_token_ids=[BAD]
    )
    return EngineRequest(request_id=name, prompt_token_ids=prompt, params=params)


class Heard:
    """What came of each request."""

    def __init__(self) -> None:
        self.tokens: dict[str, list[int]] = defaultdict(list)
        self.ends: dict[str, FinishReason] = {}

    def finish(self, core: EngineCore) -> Heard:
        """Step until nothing is left; nothing may be held then."""
        while core.has_work:
            self.step(core)
        assert core.scheduler.kv_cache.num_used_blocks == 0
        return self

    def step(self, core: EngineCore) -> None:
        """Step once."""
        for output in core.step().outputs:
            self.tokens[output.request_id] += output.token_ids
            if output.finish_reason is not None:
                self.ends[output.request_id] = output.finish_reason
        core.scheduler.check_integrity()


def alone(loaded: LoadedModel, prompt: list[int]) -> list[int]:
    """What the model says to a prompt with nobody beside it."""
    core = core_of(loaded)
    core.submit([asked("alone", prompt)])
    return Heard().finish(core).tokens["alone"]


class FailingRunner:
    """Raises in one launch or in one collect, as a device may."""

    def __init__(self, runner: ModelRunner, *, launch: int = 0, collect: int = 0) -> None:
        self._runner = runner
        self._left = {"launch": launch, "collect": collect}

    def launch(self, plan: StepPlan) -> None:
        """Begin a step, unless it is the one."""
        self._count("launch")
        self._runner.launch(plan)

    def collect(self) -> ModelRunnerOutput:
        """Return a step's output, unless it is the one."""
        output = self._runner.collect()
        self._count("collect")
        return output

    def _count(self, what: str) -> None:
        self._left[what] -= 1
        if self._left[what] == 0:
            raise RuntimeError(f"this {what} was to fail")


def test_a_broken_row_among_many_ends_alone(load: Load, tmp_path: Path) -> None:
    """Logits that are not finite end one request; those beside it say what they say alone."""
    model = make_model("llama")
    model.get_input_embeddings().weight[BAD] = float("nan")
    folder = save_model(model, tmp_path)
    llm = LLM(str(folder), device=DEVICE, dtype="float32", kv_cache_tokens=4096)
    prompts = {f"fine {i}": random_prompt(5 + i, seed=i) for i in range(20)}
    llm.core.submit([asked(name, prompt) for name, prompt in prompts.items()])
    llm.core.submit([asked("broken", [*random_prompt(9, seed=13), BAD, 7])])
    heard = Heard().finish(llm.core)
    assert heard.ends.pop("broken") is FinishReason.ERROR
    assert set(heard.ends.values()) == {FinishReason.LENGTH}
    for name, prompt in prompts.items():
        assert heard.tokens[name] == alone(load("llama"), prompt)


def test_a_memory_that_is_too_small_for_all_changes_no_word(load: Load) -> None:
    """Somebody is preempted and computed again."""
    loaded = load("qwen3")
    prompts = {f"r{i}": random_prompt(30, seed=i) for i in range(6)}
    core = core_of(loaded, kv_cache_tokens=112, policy="fcfs")
    core.submit([asked(name, prompt) for name, prompt in prompts.items()])
    heard, preempted = Heard(), 0
    while core.has_work:
        frame = core.step()
        preempted += frame.stats.num_preempted if frame.stats is not None else 0
        for output in frame.outputs:
            heard.tokens[output.request_id] += output.token_ids
    assert preempted > 0
    assert heard.tokens == {name: alone(loaded, prompt) for name, prompt in prompts.items()}


def test_a_budget_beyond_the_memory_is_refused_with_both_numbers(
    checkpoint: Callable[[str], Path],
) -> None:
    """At start, not when somebody talks."""
    with pytest.raises(ConfigError, match=r"needs \d+ bytes but \d+ are free") as refused:
        LLM(str(checkpoint("llama")), device=DEVICE, kv_cache_memory="900000GiB")
    assert refused.value.param == "kv_cache_memory"


@ON_A_GPU
def test_a_device_that_has_less_than_it_says_is_a_setting_that_cannot_work(
    checkpoint: Callable[[str], Path],
) -> None:
    """What torch may take is less than what the driver says is free."""
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        with pytest.raises(ConfigError, match="lower"):
            LLM(str(checkpoint("llama")), device=DEVICE, kv_cache_memory=0.5)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_who_is_called_off_while_a_step_computes_leaves_nothing_behind(load: Load) -> None:
    """The step in flight still writes to blocks that nobody else may have yet."""
    loaded = load("llama")
    core = core_of(loaded, kv_cache_tokens=160)
    prompts = {name: random_prompt(20, seed=i) for i, name in enumerate(("stays", "goes"))}
    core.submit([asked(name, prompt) for name, prompt in prompts.items()])
    heard = Heard()
    for _ in range(4):
        heard.step(core)
    core.cancel(["goes"])
    heir = random_prompt(40, seed=9)
    core.submit([asked("heir", heir)])
    heard.finish(core)
    assert heard.tokens["stays"] == alone(loaded, prompts["stays"])
    assert heard.tokens["heir"] == alone(loaded, heir)


@pytest.mark.parametrize("where", ["launch", "collect"])
def test_a_step_that_raises_ends_its_requests_and_the_engine_goes_on(
    load: Load, where: str
) -> None:
    """Whoever comes after it is answered rightly."""
    loaded = load("llama")
    core = core_of(loaded)
    core._runner = FailingRunner(core._runner, **{where: 3})
    core.submit([asked("unlucky", random_prompt(20, seed=1))])
    heard = Heard().finish(core)
    assert heard.ends == {"unlucky": FinishReason.ERROR}
    assert not core.is_broken
    prompt = random_prompt(20, seed=2)
    core.submit([asked("next", prompt)])
    assert heard.finish(core).tokens["next"] == alone(loaded, prompt)


@contextmanager
def nothing_waits() -> Iterator[None]:
    """Whatever synchronises with the device raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@ON_A_GPU
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_decode_steps_never_wait_for_the_device(load: Load, temperature: float) -> None:
    """Reading a finished step's tokens from pinned memory is no waiting in torch's eyes."""
    core = core_of(load("qwen3", "bfloat16"))
    params = SamplingParams(temperature=temperature, top_p=0.9, max_tokens=60, ignore_eos=True)
    core.submit(
        EngineRequest(request_id=f"r{i}", prompt_token_ids=random_prompt(20, seed=i), params=params)
        for i in range(8)
    )
    heard = Heard()
    for _ in range(20):  # graphs are captured meanwhile, which waits
        heard.step(core)
    with nothing_waits():
        for _ in range(20):
            heard.step(core)
    heard.finish(core)
    assert set(heard.ends.values()) == {FinishReason.LENGTH}
