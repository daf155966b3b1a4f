"""Heads in eight bits, written out in float64; what the GPU's kernels are held to."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = {"int8": 127.0, "fp8": 448.0}


def quantised(x: Tensor, kv_format: str) -> tuple[Tensor, Tensor]:
    """Return codes and bfloat16 scales of ``[..., dim]`` finite numbers, one scale per head."""
    x = x.double()
    wanted = (x.abs().amax(dim=-1) / LARGEST[kv_format]).clamp_min(2.0**-126)
    scale = wanted.bfloat16()
    above = (scale.view(torch.int16) + 1).view(torch.bfloat16)
    scale = torch.where(scale.double() < wanted, above, scale)
    y = x / scale.double()[..., None]
    if kv_format == "int8":
        return y.round().to(torch.int8), scale  # halves to even
    exponent = torch.floor(torch.log2(y.abs())).clamp_min(-6)
    step = torch.exp2(exponent - 3)
    return ((y / step).round() * step).float().to(torch.float8_e4m3fn).view(torch.uint8), scale


def dequantised(codes: Tensor, scales: Tensor) -> Tensor:
    """Return the numbers that codes stand for, float64."""
    numbers = codes.view(torch.float8_e4m3fn) if codes.dtype == torch.uint8 else codes
    return numbers.double() * scales.double()[..., None]
