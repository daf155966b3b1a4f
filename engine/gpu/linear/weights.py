"""A decoder's weights on the device, as the forward reads them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.decoder.quantised import Kind
from engine.decoder.spec import DecoderSpec, LayerSpec, MergedLinear
from engine.gpu.linear.linears import Linear, make_linear, make_whole


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

    Embeddings and the projection to logits stay whole unless a checkpoint says otherwise: they are
    often one tensor, looked up row by row, and an error of a logit is an error of the reply.

    Args:
        spec: Its weights are taken; norms and tables stay in it.
        device: Where to.
        quantization: What the layers' weights become, by output channel; ``None`` leaves them.
        deterministic: Whether a token has the same bits in every batch.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        device: torch.device,
        *,
        quantization: Kind | None = None,
        deterministic: bool = False,
    ) -> None:
        def linear(merged: MergedLinear) -> Linear:
            return make_linear(
                merged, spec.dtype, device, quantization=quantization, deterministic=deterministic
            )

        self.spec = spec
        self.device = device
        self.deterministic = deterministic
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
        self.head: Linear
        if spec.embedding is None:
            weight, bias = spec.head.take_dense()
            self.embedding = weight.to(device, spec.dtype).contiguous()
            self.head = make_whole(self.embedding, bias, deterministic=deterministic)
        else:
            self.embedding = spec.embedding.to(device, spec.dtype)
            self.head = make_linear(spec.head, spec.dtype, device, deterministic=deterministic)

    @property
    def num_bytes(self) -> int:
        """Memory held by what is multiplied, and by the embedding."""
        held = {self.embedding.data_ptr(): self.embedding}
        for linear in (self.head, *(linear for layer in self.layers for linear in layer.linears)):
            held |= {tensor.data_ptr(): tensor for tensor in linear.tensors}
        return sum(tensor.numel() * tensor.element_size() for tensor in held.values())
