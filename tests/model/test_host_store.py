"""Blocks that leave the device and come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core import EngineCore
from engine.llm import LLM
from engine.request import Service, make_request
from engine.sampling_params import SamplingParams
from tests.model.driver import greedy_reference, random_prompt


@pytest.mark.slow
def test_a_conversation_that_was_moved_out_goes_on_with_the_words_of_generate(
    checkpoint: Callable[[str], Path], untouched: Callable[[str], Any]
) -> None:
    """Its blocks come back from the host, and nothing but the new tokens is computed."""
    llm = LLM(
        str(checkpoint("llama")), dtype="float32", kv_cache_tokens=160, host_cache_memory="16MiB"
    )
    first = random_prompt(100, seed=1)
    said = _turn(llm.core, "a", first, "one")[0]
    _turn(llm.core, "b", random_prompt(130, seed=2), "two")  # takes the place of the first
    again = [*first, *said, 7, 8, 9]
    reply, num_cached = _turn(llm.core, "c", again, "one")
    assert num_cached >= 96
    assert reply == greedy_reference(untouched("llama"), again, 8)


def _turn(
    core: EngineCore, name: str, prompt: list[int], conversation: str
) -> tuple[list[int], int]:
    """Have a turn answered; returns its tokens and how many of the prompt were cached."""
    params = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True)
    core.submit([make_request(name, prompt, params, Service(conversation_id=conversation))])
    tokens: list[int] = []
    num_cached = 0
    while core.has_work:
        for output in core.step().outputs:
            tokens += output.token_ids
            num_cached = output.num_cached_tokens
        core.scheduler.check_integrity()
    return tokens, num_cached
