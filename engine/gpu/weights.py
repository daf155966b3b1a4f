"""A decoder's weights on the device, as the forward reads them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.decoder.spec import DecoderSpec, LayerSpec, MergedLinear


@dataclass(frozen=True, slots=True)
class Linear:
    """``x @ weight.T + bias``.

    Attributes:
        weight: ``[out, in]``.
        bias: ``[out]``, or ``None``.
    """

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, merged: MergedLinear, dtype: torch.dtype, device: torch.device) -> Linear:
        """Take the weights of merged layers."""
        weight, bias = merged.take()
        return cls(
            weight.to(device, dtype).contiguous(), None if bias is None else bias.to(device, dtype)
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``[rows, out]`` for ``[rows, in]``."""
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; see `engine.decoder.spec.LayerSpec`."""

    spec: LayerSpec
    qkv: Linear
    output: Linear
    gate_up: Linear
    down: Linear

    @property
    def linears(self) -> tuple[Linear, Linear, Linear, Linear]:
        """In the order of a step."""
        return self.qkv, self.output, self.gate_up, self.down


class DecoderWeights:
    """A whole decoder, whose specification is emptied of its weights layer by layer.

    Args:
        spec: Its weights are taken; norms and tables stay in it.
        device: Where to.
    """

    def __init__(self, spec: DecoderSpec, device: torch.device) -> None:
        def linear(merged: MergedLinear) -> Linear:
            return Linear.of(merged, spec.dtype, device)

        self.spec = spec
        self.device = device
        self.layers = tuple(
            Layer(
                layer,
                linear(layer.qkv),
                linear(layer.output),
                linear(layer.gate_up),
                linear(layer.down),
            )
            for layer in spec.layers
        )
        self.head = linear(spec.head)
        embedding = self.head.weight if spec.embedding is None else spec.embedding
        self.embedding = embedding.to(device, spec.dtype)

    @property
    def num_bytes(self) -> int:
        """Memory held by what is multiplied, and by the embedding."""
        held = {self.embedding.data_ptr(): self.embedding}
        for linear in (self.head, *(linear for layer in self.layers for linear in layer.linears)):
            held[linear.weight.data_ptr()] = linear.weight
        return sum(tensor.numel() * tensor.element_size() for tensor in held.values())
