"""Linear layers on a GPU: torch's, or by the kernels of this room, which know more formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import triton
from torch import Tensor
from torch.nn import functional

from engine.decoder.quantised import Kind, QuantisedWeight, quantise_per_channel
from engine.decoder.spec import MergedLinear
from engine.gpu.linear.linear_kernels import add_parts, expand, multiply
from engine.gpu.linear.packed_weight import WORD_BLOCK, PackedWeight, can_pack, pack, pack_plain

EXPANDS_ABOVE = 128
"""Rows beyond which a weight is decoded once, into memory, and multiplied by torch."""
_SKINNY_ROWS = 16
_LARGE_ROWS = 64
_PROGRAMS = 256
"""Programs that one product is cut into, if it can be; two for each processor of a large GPU."""
_LEAST_PART = 1024
"""Inputs that a program takes at least, or adding the parts up costs more than is won."""
_ADD_OUTPUTS = 1024


class Linear(Protocol):
    """``x @ weight.T + bias``."""

    @property
    def num_parameters(self) -> int:
        """Numbers of the weight, in whatever form they are held."""

    @property
    def tensors(self) -> list[Tensor]:
        """All that it holds."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``[rows, out]`` for contiguous ``[rows, in]``."""


@dataclass(frozen=True, slots=True, eq=False)
class TorchLinear:
    """By torch, which chooses how by the number of rows.

    Attributes:
        weight: ``[out, in]``.
        bias: ``[out]``, or ``None``.
    """

    weight: Tensor
    bias: Tensor | None

    @property
    def num_parameters(self) -> int:
        """Numbers of the weight."""
        return self.weight.numel()

    @property
    def tensors(self) -> list[Tensor]:
        """All that it holds."""
        return _without_none(self.weight, self.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``[rows, out]`` for ``[rows, in]``."""
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class PackedLinear:
    """By the kernels of this room.

    Attributes:
        weight: In any of their formats.
        bias: ``[out]``, or ``None``.
        one_tile: Whether any number of rows is computed in one way, so that a row has the same bits
            in every batch.
    """

    weight: PackedWeight
    bias: Tensor | None
    one_tile: bool = False

    @property
    def num_parameters(self) -> int:
        """Numbers of the weight."""
        return self.weight.outputs * self.weight.inputs

    @property
    def tensors(self) -> list[Tensor]:
        """All that it holds."""
        return _without_none(*self.weight.tensors, self.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``[rows, out]`` for contiguous ``[rows, in]``."""
        if len(x) > EXPANDS_ABOVE and not self.one_tile:
            return functional.linear(x, expanded(self.weight, x.dtype), self.bias)
        rows = _SKINNY_ROWS if len(x) <= _SKINNY_ROWS and not self.one_tile else _LARGE_ROWS
        return product(x, self.weight, self.bias, tiling_of(self.weight, rows, x.dtype))


def make_linear(
    merged: MergedLinear,
    dtype: torch.dtype,
    device: torch.device,
    *,
    quantization: Kind | None = None,
    deterministic: bool = False,
) -> Linear:
    """Take the weights of merged layers.

    Args:
        merged: Emptied.
        dtype: Of activations, and of weights that stay whole.
        device: Where to.
        quantization: What weights that are whole in the checkpoint become, by output channel.
        deterministic: Whether a row has the same bits in every batch.
    """
    weight, bias = merged.take()
    weight = weight.to(device)
    if isinstance(weight, Tensor) and quantization is not None:
        weight = quantise_per_channel(weight, quantization)
    if isinstance(weight, QuantisedWeight):
        if can_pack(weight):
            bias = None if bias is None else bias.to(device, dtype)
            return PackedLinear(pack(weight), bias, deterministic)
        weight = weight.dequantise()
    return make_whole(weight.to(dtype).contiguous(), bias, deterministic=deterministic)


def make_whole(weight: Tensor, bias: Tensor | None, *, deterministic: bool) -> Linear:
    """Return a layer over a weight of the activations' type, which it shares.

    Args:
        weight: ``[out, in]``, contiguous.
        bias: ``[out]``, or ``None``; brought to the weight's type and place.
        deterministic: Whether a row has the same bits in every batch.
    """
    bias = None if bias is None else bias.to(weight)
    if deterministic:
        return PackedLinear(pack_plain(weight), bias, one_tile=True)
    return TorchLinear(weight, bias)


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a program computes its part of a product.

    Attributes:
        rows: Of its tile, a power of two.
        outputs: Likewise.
        step: Inputs that it takes at a time.
        num_warps: Groups of 32 threads.
        num_stages: Depth of the pipeline that fetches weights ahead.
    """

    rows: int
    outputs: int
    step: int
    num_warps: int
    num_stages: int

    def parts(self, outputs: int, inputs: int) -> int:
        """Return how many parts the inputs are cut into; the number of rows has no say in it."""
        return max(1, min(-(-_PROGRAMS // -(-outputs // self.outputs)), inputs // _LEAST_PART))


def tiling_of(weight: PackedWeight, rows: int, dtype: torch.dtype) -> Tiling:
    """Choose a tiling that spills no register on sm_80 and newer."""
    large = rows == _LARGE_ROWS
    if weight.format == "int4":
        return Tiling(rows, 32 if large else 128, WORD_BLOCK, num_warps=4, num_stages=3)
    if dtype == torch.float32:  # no matrix unit; decoding and multiplying share the registers
        warps = 8 if large and weight.format != "plain" else 4
        return Tiling(rows, 64, weight.run(32), num_warps=warps, num_stages=3)
    return Tiling(rows, 64, weight.run(64 if large else 128), num_warps=4, num_stages=4)


def product(x: Tensor, weight: PackedWeight, bias: Tensor | None, tiling: Tiling) -> Tensor:
    """Return ``x @ weight.T + bias`` by one tiling.

    Args:
        x: ``[rows, inputs]``, contiguous.
        weight: In any format.
        bias: ``[outputs]``, or ``None``.
        tiling: Whatever it is, only its own row decides what a row becomes.
    """
    rows, outputs, inputs = len(x), weight.outputs, weight.inputs
    parts = tiling.parts(outputs, inputs)
    out = x.new_empty(rows, outputs)
    partial = out if parts == 1 else x.new_empty(parts, rows, outputs, dtype=torch.float32)
    in_place = bias if parts == 1 else None
    grid = (triton.cdiv(rows, tiling.rows), triton.cdiv(outputs, tiling.outputs), parts)
    multiply[grid](
        x,
        weight.payload,
        x if weight.groups is None else weight.groups,
        x if weight.factors is None else weight.factors,
        x if in_place is None else in_place,
        partial,
        rows,
        outputs,
        inputs,
        ROWS=tiling.rows,
        OUTPUTS=tiling.outputs,
        STEP=tiling.step,
        FORMAT=weight.format,
        GROUP=0 if weight.groups is None else weight.block[1],
        GROUP_OUTPUTS=weight.block[0],
        RUN=weight.run(tiling.step),
        HAS_FACTORS=weight.factors is not None,
        HAS_BIAS=in_place is not None,
        EVEN=inputs % tiling.step == 0,
        UPCAST=triton.knobs.runtime.interpret,
        num_warps=tiling.num_warps,
        num_stages=tiling.num_stages,
    )
    if parts > 1:
        add_parts[(rows, triton.cdiv(outputs, _ADD_OUTPUTS))](
            partial,
            x if bias is None else bias,
            out,
            rows,
            outputs,
            PARTS=parts,
            OUTPUTS=_ADD_OUTPUTS,
            HAS_BIAS=bias is not None,
            num_warps=4,
        )
    return out


def expanded(weight: PackedWeight, dtype: torch.dtype) -> Tensor:
    """Return a weight's numbers, ``[outputs, inputs]``, in the activations' type."""
    out = torch.empty(weight.outputs, weight.inputs, dtype=dtype, device=weight.payload.device)
    step = WORD_BLOCK if weight.format == "int4" else weight.run(WORD_BLOCK)
    expand[(triton.cdiv(weight.outputs, 64), triton.cdiv(weight.inputs, step))](
        weight.payload,
        weight.payload if weight.groups is None else weight.groups,
        weight.payload if weight.factors is None else weight.factors,
        out,
        weight.outputs,
        weight.inputs,
        OUTPUTS=64,
        STEP=step,
        FORMAT=weight.format,
        GROUP=0 if weight.groups is None else weight.block[1],
        GROUP_OUTPUTS=weight.block[0],
        HAS_FACTORS=weight.factors is not None,
        num_warps=4,
    )
    return out


def _without_none(*tensors: Tensor | None) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor is not None]
