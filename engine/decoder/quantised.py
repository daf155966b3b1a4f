"""Weights held in fewer bits than they are multiplied with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

_LARGEST = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}
_DTYPES = {"int8": torch.int8, "fp8": torch.float8_e4m3fn}


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedWeight:
    """``W[o, i] = (payload[o, i] - zeros[b]) * scales[b]`` with ``b = o // rows, i // columns``.

    Attributes:
        payload: ``[out, in]`` int8 or float8_e4m3fn; 4 bits as uint8 from 0 to 15, one per byte
            until they are packed for a device.
        scales: ``[ceil(out / rows), ceil(in / columns)]`` float32.
        zeros: Like ``scales``, whole numbers; ``None`` for symmetric, which is 0 for 8 bits and 8
            for 4 bits.
        block: ``(rows, columns)`` that share a scale: ``(1, in)`` per output channel, ``(out, in)``
            for the whole tensor, ``(128, 128)`` per block, ``(1, 128)`` per group of inputs.
        bits: Of one number of the payload.
    """

    payload: Tensor
    scales: Tensor
    zeros: Tensor | None
    block: tuple[int, int]
    bits: Literal[4, 8]

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        out, width = self.payload.shape
        return out, width

    @property
    def middle(self) -> float:
        """What stands for zero where no ``zeros`` are given."""
        return 8.0 if self.bits == 4 else 0.0

    def dequantise(self) -> Tensor:
        """Return ``[out, in]`` float32."""
        zeros = self.middle if self.zeros is None else self._spread(self.zeros)
        return (self.payload.float() - zeros) * self._spread(self.scales)

    def to(self, device: torch.device) -> QuantisedWeight:
        """Return the same weight on a device."""
        return QuantisedWeight(
            self.payload.to(device),
            self.scales.to(device),
            None if self.zeros is None else self.zeros.to(device),
            self.block,
            self.bits,
        )

    @staticmethod
    def are_alike(parts: Sequence[QuantisedWeight]) -> bool:
        """Whether `cat` takes them: same numbers, same inputs, groups of the same size."""
        return len({(p.payload.dtype, p.bits, p.shape[1], p.block[1]) for p in parts}) == 1

    @staticmethod
    def cat(parts: Sequence[QuantisedWeight]) -> QuantisedWeight:
        """Put weights over the same inputs together, along their outputs.

        Blocks that would end in the middle of another part, and scales of whole tensors, are
        written out for each output channel.

        Raises:
            ValueError: The parts are not alike.
        """
        if not QuantisedWeight.are_alike(parts):
            told = ", ".join(
                f"{p.payload.dtype} of {p.shape[1]} inputs in groups of {p.block[1]}" for p in parts
            )
            raise ValueError(f"weights cannot be merged: {told}; keep them apart")
        if len(parts) == 1:
            return parts[0]
        rows = parts[0].block[0]
        line_up = not any(part.shape[0] % rows for part in parts[:-1])
        if not line_up or any(part.block[0] != rows for part in parts):
            parts, rows = [part.by_row() for part in parts], 1
        zeros = None
        if any(p.zeros is not None for p in parts):
            zeros = torch.cat(
                [torch.full_like(p.scales, p.middle) if p.zeros is None else p.zeros for p in parts]
            )
        return QuantisedWeight(
            # torch cannot concatenate float8 everywhere; bytes it can
            torch.cat([p.payload.view(torch.uint8) for p in parts]).view(parts[0].payload.dtype),
            torch.cat([p.scales for p in parts]),
            zeros,
            (rows, parts[0].block[1]),
            parts[0].bits,
        )

    def by_row(self) -> QuantisedWeight:
        """Return the same weight with scales, and zeros if it has any, for each output."""
        if self.block[0] == 1:
            return self
        zeros = None if self.zeros is None else self._repeat_rows(self.zeros)
        scales = self._repeat_rows(self.scales)
        return QuantisedWeight(self.payload, scales, zeros, (1, self.block[1]), self.bits)

    def _repeat_rows(self, per_block: Tensor) -> Tensor:
        return per_block.repeat_interleave(self.block[0], dim=0)[: self.shape[0]]

    def _spread(self, per_block: Tensor) -> Tensor:
        """Return what belongs to each number, ``[out, in]`` or what broadcasts to it."""
        rows, columns = self.block
        if per_block.shape[0] > 1 and rows > 1:
            per_block = self._repeat_rows(per_block)
        if per_block.shape[1] > 1 and columns > 1:
            per_block = per_block.repeat_interleave(columns, dim=1)[:, : self.shape[1]]
        return per_block


def quantise_per_channel(weight: Tensor, kind: Literal["int8", "fp8"]) -> QuantisedWeight:
    """Round each output channel to eight bits, symmetric around zero, its largest at the end.

    Args:
        weight: ``[out, in]``.
        kind: ``int8`` has 255 even levels; ``fp8`` is float8_e4m3fn, whose levels are finer near
            zero.
    """
    dtype = _DTYPES[kind]
    largest = _LARGEST[dtype]
    weight = weight.float()
    scales = weight.abs().amax(dim=1, keepdim=True).div_(largest)
    scales[scales == 0] = 1.0
    levels = weight / scales
    if dtype == torch.int8:
        levels = levels.round_()
    payload = levels.clamp_(-largest, largest).to(dtype)
    return QuantisedWeight(payload, scales, None, (1, weight.shape[1]), 8)
