"""FlashAttention-3 is left what it computes rightly and faster; plain torch plays it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.gpu.attention.choose_attention import AttentionChoice, choose_attention
from engine.gpu.attention.flash_attention import FlashAttention, why_not_flash
from tests.gpu.decoders import tiny_spec
from tests.gpu.paged_reference import with_kvcache


def chosen(
    theirs: Callable[..., Any], seconds: list[float], device: torch.device
) -> AttentionChoice:
    """With clocks that say what is wanted: theirs and ours for decodes, then for prompts."""
    keys, values = torch.zeros(2, 8, 16, 1, 16, device=device)
    choice = choose_attention(
        FlashAttention(theirs),
        keys,
        values,
        2,
        streams=2,
        context=40,
        chunk=20,
        time=lambda launch: seconds.pop(0),
    )
    assert not keys.any()
    assert not values.any()
    return choice


def test_it_serves_the_steps_in_which_it_was_faster(device: torch.device) -> None:
    """Decodes and prompts are tried by themselves."""
    choice = chosen(with_kvcache, [1.0, 2.0, 2.0, 1.0], device)
    assert choice.flash is not None
    assert choice.serves(is_decode=True)
    assert not choice.serves(is_decode=False)
    assert chosen(with_kvcache, [2.0, 1.0, 2.0, 1.0], device).flash is None


def test_what_is_wrong_is_not_used_however_fast(device: torch.device) -> None:
    """Nor what does not run."""

    def wrong(*args: Tensor, **options: Any) -> Tensor:
        return with_kvcache(*args, **{**options, "softmax_scale": 1.0})

    def broken(*args: Tensor, **options: Any) -> Tensor:
        raise RuntimeError("paging is not supported")

    assert chosen(wrong, [1.0, 2.0] * 2, device).flash is None
    assert chosen(broken, [1.0, 2.0] * 2, device).flash is None


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (tiny_spec(sinks=True), "the model has attention sinks"),
        (tiny_spec(), "it computes in torch.float32"),
        (tiny_spec(dtype=torch.bfloat16), None),
    ],
)
def test_models_that_it_does_not_compute_are_not_left_to_it(spec: Any, why: str | None) -> None:
    """With the reason."""
    assert why_not_flash(spec, spec.dtype) == why


def test_keys_in_eight_bits_are_not_left_to_it() -> None:
    """It would not know their scales."""
    why = why_not_flash(tiny_spec(dtype=torch.bfloat16), torch.int8)
    assert why == "keys are kept as torch.int8"


def test_without_the_package_or_the_processor_there_is_none() -> None:
    """It is never needed."""
    assert FlashAttention.find(torch.device("cpu")) is None
