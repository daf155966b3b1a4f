"""Offline generation through the public face, as somebody uses it who has read the README."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import (
    ConfigError,
    InvalidParameter,
    ModelNotFound,
    NeverFits,
    PromptTooLong,
    RequestError,
)
from engine.llm import LLM
from engine.request import FinishReason
from engine.sampling_params import SamplingParams
from tests.model.driver import random_prompt

pytestmark = pytest.mark.slow
GREEDY = SamplingParams(temperature=0, max_tokens=12)


@pytest.fixture(scope="module")
def llm(checkpoint: Callable[[str], Path]) -> LLM:
    """A tiny model with a small budget and a short queue."""
    return LLM(
        str(checkpoint("qwen3")),
        dtype="float32",
        kv_cache_tokens=384,
        max_num_seqs=4,
        max_num_batched_tokens=32,
        max_num_queued_reqs=3,
        num_threads=1,
    )


def test_replies_come_in_the_prompts_order_and_equal_generate(
    llm: LLM, untouched: Callable[[str], Any]
) -> None:
    """More prompts than the queue holds, of mixed lengths, token by token."""
    prompts = [random_prompt(5 + 9 * i, seed=i) for i in range(9)]
    outputs = llm.generate(prompts, GREEDY)
    for prompt, output in zip(prompts, outputs, strict=True):
        tokens = torch.tensor([prompt])
        mask = torch.ones_like(tokens)
        said = untouched("qwen3").generate(
            tokens, attention_mask=mask, max_new_tokens=12, do_sample=False
        )
        assert output.token_ids == said[0, len(prompt) :].tolist()
        assert output.prompt_token_ids == prompt
    assert llm.core.scheduler.kv_cache.num_used_blocks == 0


def test_text_goes_in_and_text_comes_out(llm: LLM) -> None:
    """A single string may stand alone; the reply is the decoded tokens."""
    (output,) = llm.generate("Hello there!", GREEDY)
    assert output.prompt_token_ids == llm.tokenizer.encode("Hello there!")
    assert output.text == llm.tokenizer.decode(output.token_ids)
    assert output.finish_reason is FinishReason.LENGTH


def test_one_set_of_parameters_for_each_prompt(llm: LLM) -> None:
    """Greedy, seeded and short replies share a batch."""
    prompt = random_prompt(8, seed=1)
    params = [GREEDY, SamplingParams(seed=5, max_tokens=12), SamplingParams(max_tokens=1)]
    greedy, seeded, short = llm.generate([prompt] * 3, params)
    assert llm.generate([prompt], GREEDY)[0].token_ids == greedy.token_ids
    assert llm.generate([prompt], params[1])[0].token_ids == seeded.token_ids
    assert len(short.token_ids) == 1


def test_a_stop_string_ends_the_text_before_it(llm: LLM) -> None:
    """And says that it did."""
    prompt = random_prompt(10, seed=3)
    text = llm.generate([prompt], GREEDY)[0].text
    stop = text[len(text) // 2 :][:2]
    (output,) = llm.generate([prompt], SamplingParams(temperature=0, max_tokens=12, stop=stop))
    assert (output.text, output.stop_reason) == (text[: text.index(stop)], stop)
    assert output.finish_reason is FinishReason.STOP


def test_a_repeated_prompt_is_cached_and_says_so(llm: LLM) -> None:
    """All but its last token."""
    prompt = random_prompt(50, seed=9)
    llm.generate([prompt], GREEDY)
    assert llm.generate([prompt], GREEDY)[0].num_cached_tokens == 49


def test_logprobs_come_with_every_token(llm: LLM) -> None:
    """The chosen one and the likeliest, best first."""
    params = SamplingParams(temperature=0, max_tokens=4, logprobs=3)
    (output,) = llm.generate([random_prompt(6, seed=2)], params)
    assert output.logprobs is not None
    for token_id, entry in zip(output.token_ids, output.logprobs, strict=True):
        assert entry.chosen.token_id == entry.top[0].token_id == token_id
        assert len(entry.top) == 3


@pytest.mark.parametrize(
    ("prompt", "params", "error"),
    [
        ([], GREEDY, RequestError),
        ([5] * 600, GREEDY, PromptTooLong),
        ([5] * 20, SamplingParams(max_tokens=500), NeverFits),
        ([10**6], GREEDY, InvalidParameter),
        ({"prompt": "x"}, GREEDY, InvalidParameter),
        (b"bytes", GREEDY, InvalidParameter),
        (3.5, GREEDY, InvalidParameter),
    ],
)
def test_a_refused_prompt_costs_no_step(
    llm: LLM, prompt: Any, params: SamplingParams, error: type[Exception]
) -> None:
    """Its own kind of error is raised before anything is computed for the others."""
    steps = llm.core.scheduler.num_planned
    with pytest.raises(error):
        llm.generate([random_prompt(5, seed=0)] * 9 + [prompt], params)
    assert llm.core.scheduler.num_planned == steps


def test_as_many_parameters_as_prompts_are_needed(llm: LLM) -> None:
    """Otherwise whose would be whose?"""
    with pytest.raises(ValueError, match="2 sampling_params for 1 prompts"):
        llm.generate(["x"], [GREEDY, GREEDY])


def test_an_unknown_setting_is_refused_by_name(checkpoint: Callable[[str], Path]) -> None:
    """Before anything is loaded."""
    with pytest.raises(ConfigError, match="max_seqs"):
        LLM(str(checkpoint("qwen3")), max_seqs=3)


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With the folder's name."""
    with pytest.raises(ModelNotFound, match="nowhere"):
        LLM(str(tmp_path / "nowhere"))
