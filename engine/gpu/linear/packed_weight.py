"""Weights as `engine.gpu.linear.linear_kernels` reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import triton
from torch import Tensor
from torch.nn import functional
from triton.runtime import driver

from engine.decoder.quantised import QuantisedWeight

Format = Literal["plain", "int8", "fp8", "fp8_bits", "int4"]

WORD_BLOCK = 128
"""Inputs whose four-bit numbers lie in 16 words side by side."""
_NIBBLES = 8
_ALL = (1, 1 << 30)
"""A block of one output and whatever inputs there are."""
_FIRST_WITH_FP8 = 89
"""The compute capability, times ten, from which a processor converts float8 by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedWeight:
    """``[outputs, inputs]`` on a device; the parts' layouts are told where `multiply` takes them.

    Attributes:
        payload: The numbers.
        groups: Scales of runs of inputs; ``None`` where all inputs share one.
        factors: ``[outputs]`` float32, or ``None`` for one.
        format: Of the payload. ``fp8_bits`` is ``fp8`` for processors that lack the type.
        outputs: How many there are.
        inputs: How many there are.
        block: Outputs and inputs that share a scale in ``groups``.
    """

    payload: Tensor
    groups: Tensor | None
    factors: Tensor | None
    format: Format
    outputs: int
    inputs: int
    block: tuple[int, int]

    @property
    def tensors(self) -> list[Tensor]:
        """All that it holds."""
        return [t for t in (self.payload, self.groups, self.factors) if t is not None]

    def run(self, step: int) -> int:
        """Return how many inputs of a step share a scale."""
        return math.gcd(step, self.block[1]) if self.groups is not None else step


def pack_plain(weight: Tensor) -> PackedWeight:
    """Take a weight in the activations' own type, contiguous, as it is."""
    outputs, inputs = weight.shape
    return PackedWeight(weight, None, None, "plain", outputs, inputs, _ALL)


def can_pack(weight: QuantisedWeight) -> bool:
    """Whether the kernels read it.

    Inputs that share a scale must fill the 16 that a matrix unit takes, and eight bits have no
    zeros.
    """
    columns = weight.block[1]
    fills = columns >= weight.shape[1] or columns % 16 == 0
    return fills and (weight.bits == 4 or weight.zeros is None)


def pack(weight: QuantisedWeight) -> PackedWeight:
    """Lay a weight out, on the device where it is.

    Args:
        weight: One that `can_pack`.
    """
    if weight.bits == 4:
        return _pack_four_bits(weight)
    (outputs, inputs), columns = weight.shape, weight.block[1]
    groups = factors = None
    block = weight.block
    if columns < inputs:
        groups = weight.scales.T.contiguous()
    else:
        factors, block = weight.by_row().scales[:, 0].contiguous(), _ALL
    kind: Format = "int8" if weight.payload.dtype == torch.int8 else _fp8_format()
    payload = weight.payload.contiguous()
    if kind != "int8":
        payload = payload.view(torch.uint8)
    return PackedWeight(payload, groups, factors, kind, outputs, inputs, block)


def _fp8_format() -> Format:
    if triton.knobs.runtime.interpret:
        return "fp8"
    capability = driver.active.get_current_target().arch
    return "fp8" if capability >= _FIRST_WITH_FP8 else "fp8_bits"


def _pack_four_bits(weight: QuantisedWeight) -> PackedWeight:
    """Bring eight numbers into each word, and the scale and zero of each group into another.

    A scale keeps float16's eleven bits; the power of two that its output's scales have in common is
    taken out first, so that small ones keep them too.
    """
    outputs, inputs = weight.shape
    numbers = functional.pad(weight.payload, (0, -inputs % WORD_BLOCK))
    numbers = numbers.view(outputs, -1, _NIBBLES, WORD_BLOCK // _NIBBLES).int()
    words = torch.zeros_like(numbers[:, :, 0])
    for i in range(_NIBBLES):
        words |= numbers[:, :, i] << 4 * i
    scales, zeros = weight.by_row().scales, weight.by_row().zeros
    zeros = torch.full_like(scales, weight.middle) if zeros is None else zeros
    _, exponents = torch.frexp(scales.abs().amax(dim=1))
    factors = torch.ldexp(torch.ones_like(scales[:, 0]), exponents)
    high = (scales / factors[:, None]).half().view(torch.int16).int() << 16
    low = (zeros + 128.0).bfloat16().view(torch.int16).int()
    groups = (high | low).T
    block = (1, weight.block[1]) if weight.block[1] < inputs else _ALL
    padded = -(-words.shape[1] * WORD_BLOCK // block[1])  # words that are padding have groups too
    groups = functional.pad(groups, (0, 0, 0, padded - groups.shape[0])).contiguous()
    words = words.flatten(1).contiguous()
    return PackedWeight(words, groups, factors, "int4", outputs, inputs, block)
