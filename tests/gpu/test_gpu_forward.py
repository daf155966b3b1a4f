"""Whole models on the GPU's kernels against transformers' own logits."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.attention.interface import ATTENTION_NAME, register_attention
from engine.gpu.paged_attention import PagedAttention
from engine.gpu.weights import DecoderWeights
from engine.model.forward import Forward, Span
from engine.model.gpu_forward import GpuForward
from engine.model.probe import probe_layers
from engine.model.transformers_forward import TransformersForward
from tests.gpu.decoders import take_model_apart
from tests.support.tiny_models import FAMILIES, VOCAB_SIZE, make_model

pytestmark = pytest.mark.slow

PROMPT, REPLY = 24, 2
TABLE = array("i", [5, 2])


def random_prompt(length: int, *, seed: int) -> list[int]:
    """Any tokens; nothing here needs more of Kaiwa than its models."""
    return random.Random(seed).choices(range(20, VOCAB_SIZE), k=length)


def untouched(model: Any, ids: list[int], device: torch.device) -> Tensor:
    """What transformers computes by itself."""
    with torch.inference_mode():
        logits: Tensor = model(torch.tensor([ids], device=device)).logits[0]
    return logits


def stepped(forward: Forward, ids: list[int]) -> Tensor:
    """A prompt in two chunks, then token by token."""
    found = []
    for start, end in ((0, 13), (13, PROMPT), *((i, i + 1) for i in range(PROMPT, len(ids)))):
        with torch.inference_mode():
            logits = forward.run(
                [Span(start, end - start, TABLE)], ids[start:end], range(end - start)
            )
        assert logits is not None
        found.append(logits.values)
    return torch.cat(found)


def gpu_forward(
    model: Any, device: torch.device, kv_dtype: torch.dtype | None = None
) -> GpuForward:
    """The model on the kernels; takes its weights."""
    with torch.inference_mode():
        return GpuForward(DecoderWeights(take_model_apart(model), device), 8, kv_dtype=kv_dtype)


def error(found: Tensor, expected: Tensor) -> float:
    """Relative, by norms; not a number never passes."""
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_says_what_transformers_says(family: str, device: torch.device) -> None:
    """Chunks, decodes, windows shorter than the text."""
    model = make_model(family).to(device)
    ids = random_prompt(PROMPT + REPLY, seed=1)
    expected = untouched(model, ids, device)
    assert error(stepped(gpu_forward(model, device), ids), expected) < 1e-5


@pytest.mark.parametrize(
    ("family", "kv_dtype", "most"),
    [("gemma2", torch.int8, 0.03), ("qwen3", torch.float8_e4m3fn, 0.1)],
    ids=["int8", "fp8"],
)
def test_keys_and_values_in_eight_bits_cost_little(
    family: str, kv_dtype: torch.dtype, most: float, device: torch.device
) -> None:
    """Chunks and decodes; the logits differ by a few hundredths, weights being drawn wide."""
    model = make_model(family).to(device)
    ids = random_prompt(PROMPT + REPLY, seed=1)
    expected = untouched(model, ids, device)
    found = error(stepped(gpu_forward(model, device, kv_dtype), ids), expected)
    assert most / 30 < found < most


def test_nothing_is_read_out_unless_asked_for(device: torch.device) -> None:
    """A chunk in the middle of a prompt has no logits."""
    forward = gpu_forward(make_model("llama").to(device), device)
    assert forward.run([Span(0, 5, TABLE)], [3, 4, 5, 6, 7], []) is None


def test_modules_of_transformers_attend_by_the_kernels_too(device: torch.device) -> None:
    """For models whose structure is not understood."""
    model = make_model("gemma2").to(device)
    ids = random_prompt(PROMPT + REPLY, seed=2)
    expected = untouched(model, ids, device)
    register_attention()
    layers, _ = probe_layers(model)
    model.set_attn_implementation(ATTENTION_NAME)
    forward = TransformersForward(model, layers, 8, PagedAttention)
    assert error(stepped(forward, ids), expected) < 1e-5
