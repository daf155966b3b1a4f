"""Whole models on the GPU's kernels against transformers' own logits."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.attention.interface import ATTENTION_NAME, register_attention
from engine.attention.metadata import Span
from engine.decoder.quantised import Kind, QuantisedWeight, quantise_per_channel
from engine.gpu.attention.paged_attention import PagedAttention
from engine.gpu.linear.weights import DecoderWeights
from engine.model.forward import Forward
from engine.model.gpu_forward import GpuForward
from engine.model.probe import probe_layers
from engine.model.transformers_forward import TransformersForward
from tests.gpu.closeness import error
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
    model: Any, device: torch.device, kv_dtype: torch.dtype | None = None, **how: Any
) -> GpuForward:
    """The model on the kernels; takes its weights."""
    with torch.inference_mode():
        weights = DecoderWeights(take_model_apart(model), device, **how)
        return GpuForward(weights, 8, kv_dtype=kv_dtype)


def quantised(model: Any, weight: Callable[[Tensor], QuantisedWeight]) -> None:
    """Round the weights of all layers, and leave what they were rounded to beside them."""
    for module in model.base_model.layers.modules():
        if isinstance(module, torch.nn.Linear):
            rounded = weight(module.weight.detach())
            module.weight.data = rounded.dequantise()
            module.quantised = rounded  # type: ignore[assignment]


def four_bits(weight: Tensor) -> QuantisedWeight:
    """Groups of 16 inputs, each with its smallest and largest number at the ends."""
    groups = weight.view(len(weight), -1, 16)
    low, high = groups.amin(2), groups.amax(2)
    scales = ((high - low) / 15).half().float()
    zeros = (-low / scales).round()
    payload = (groups / scales[..., None] + zeros[..., None]).round().clamp(0, 15)
    return QuantisedWeight(payload.flatten(1).to(torch.uint8), scales, zeros, (1, 16), 4)


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


@pytest.mark.parametrize(
    "weight",
    [
        partial(quantise_per_channel, kind="int8"),
        partial(quantise_per_channel, kind="fp8"),
        four_bits,
    ],
    ids=["int8", "fp8", "int4"],
)
def test_a_quantised_checkpoint_says_what_its_numbers_stand_for(
    weight: Callable[[Tensor], QuantisedWeight], device: torch.device
) -> None:
    """As transformers says with the dequantised weights; biases included."""
    model = make_model("qwen2").to(device)
    quantised(model, weight)
    ids = random_prompt(PROMPT + REPLY, seed=4)
    expected = untouched(model, ids, device)
    assert error(stepped(gpu_forward(model, device), ids), expected) < 1e-5


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_weights_quantised_on_loading_are_those_of_such_a_checkpoint(
    kind: Kind, device: torch.device
) -> None:
    """Layers are rounded; embedding and logits are not."""
    model, rounded = (make_model("llama").to(device) for _ in range(2))
    quantised(rounded, partial(quantise_per_channel, kind=kind))
    ids = random_prompt(PROMPT + REPLY, seed=5)
    expected = untouched(rounded, ids, device)
    assert error(stepped(gpu_forward(model, device, quantization=kind), ids), expected) < 1e-5


@pytest.mark.usefixtures("sums_in_order")
@pytest.mark.parametrize("quantization", [None, "int8"])
def test_a_deterministic_token_has_the_same_bits_in_every_batch(
    quantization: Kind | None, device: torch.device
) -> None:
    """Alone, in a batch that shares its beginning, and with its prompt in one chunk or three."""
    model = make_model("qwen2").to(device)
    forward = gpu_forward(model, device, quantization=quantization, deterministic=True)
    ids = random_prompt(21, seed=6)

    def step(*spans: tuple[int, int, array[int]]) -> Tensor:
        tokens = [token for start, count, _ in spans for token in ids[start : start + count]]
        with torch.inference_mode():
            found = forward.run([Span(*span) for span in spans], tokens, range(len(tokens)))
        assert found is not None
        return found.values.clone()

    first, second, third = (array("i", blocks) for blocks in ([0, 1], [2, 3], [0, 4]))
    whole = step((0, 20, first))
    parts = [step((0, 3, second)), step((3, 1, second)), step((4, 16, second), (16, 4, third))]
    assert torch.equal(torch.cat(parts)[:20], whole)
    alone = step((20, 1, first))
    together = step((20, 1, first), (20, 1, second), (20, 1, third), (0, 2, array("i", [5])))
    for row in range(3):
        assert torch.equal(together[row], alone[0])


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
