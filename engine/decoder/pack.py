"""Weights as the C++ kernels read them: tiles of 64 outputs, words of 32 bits."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.nn import functional

from engine.decoder.quantised import quantise_per_channel
from engine.decoder.spec import DecoderSpec, LayerSpec, MergedLinear
from engine.native import structs
from engine.native.huge_pages import prefer_huge_pages

_TILE = 64
_GATES = _TILE // 2
_LANES = 16
_KINDS = {torch.float32: structs.KIND_F32, torch.bfloat16: structs.KIND_BF16}


class PackedDecoder:
    """A decoder's weights, packed; whoever steps it adds the memory of keys and values.

    Takes the weights out of the specification one layer after the other, so that there is never
    more than one layer's second copy.

    Args:
        spec: Its weights are taken.
        int8: Whether weights become 8-bit integers, one scale per output channel.
    """

    def __init__(self, spec: DecoderSpec, *, int8: bool = False) -> None:
        self._held: list[Tensor] = []
        self._int8 = int8
        self.spec = spec
        self.head_dim = -(-spec.head_dim // _LANES) * _LANES
        self.num_layers = len(spec.layers)
        self._layers = (structs.Layer * self.num_layers)()
        for packed, layer in zip(self._layers, spec.layers, strict=True):
            self._pack_layer(packed, layer)
        self._model = structs.Model(
            layers=self._layers,
            final_norm=self._hold(spec.final_norm),
            embedding=None if spec.embedding is None else self._hold(spec.embedding.contiguous()),
            head=self._linear(*spec.head.take_dense()),
            num_layers=self.num_layers,
            hidden=spec.hidden,
            heads=spec.heads,
            kv_heads=spec.kv_heads,
            head_dim=self.head_dim,
            norm_dim=spec.head_dim,
            intermediate=spec.intermediate,
            vocab=spec.vocab,
            rotary_dim=spec.rotary_dim,
            activation=structs.ACTIVATIONS[spec.activation],
            kind=_KINDS[spec.dtype],
            epsilon=spec.epsilon,
            embedding_scale=spec.embedding_scale,
            residual_scale=spec.residual_scale,
            logit_scale=spec.logit_scale,
            logit_softcap=spec.logit_softcap or 0.0,
        )

    @property
    def num_bytes(self) -> int:
        """Memory held."""
        tensors = {t.data_ptr(): t for t in self._held}
        return sum(t.numel() * t.element_size() for t in tensors.values())

    def with_memory(self, keys: list[Tensor], values: list[Tensor]) -> structs.Model:
        """Return the C structure of this decoder over some memory, which the caller keeps alive.

        Args:
            keys: Per layer, as `engine.attention.block_store` lays them out.
            values: Likewise.
        """
        layers = (structs.Layer * self.num_layers)()
        ctypes.memmove(layers, self._layers, ctypes.sizeof(layers))
        for layer, key, value in zip(layers, keys, values, strict=True):
            layer.keys, layer.values = key.data_ptr(), value.data_ptr()
        model = structs.Model()
        ctypes.pointer(model)[0] = self._model
        model.layers = layers
        return model

    def _pack_layer(self, to: structs.Layer, layer: LayerSpec) -> None:
        for name in ("attention_norm", "after_attention_norm", "mlp_norm", "after_mlp_norm"):
            setattr(to, name, self._hold(getattr(layer, name)))
        pad = self.head_dim - self.spec.head_dim
        spans = layer.query_norm is not None and layer.query_norm.shape[0] != self.spec.head_dim
        to.spans_heads = spans
        for name in ("query_norm", "key_norm"):
            norm: Tensor | None = getattr(layer, name)
            if norm is not None:
                norm = functional.pad(norm.view(-1, self.spec.head_dim), (0, pad)).flatten()
            setattr(to, name, self._hold(norm))
        to.qkv = self._linear(*self._widen_heads(layer.qkv))
        weight, bias = layer.output.take_dense()
        if pad:
            heads = weight.view(weight.shape[0], -1, self.spec.head_dim)
            weight = functional.pad(heads, (0, pad)).flatten(1)
        to.output = self._linear(weight, bias)
        to.gate_up = self._linear(*self._interleave(layer.gate_up))
        to.down = self._linear(*layer.down.take_dense())
        to.sinks, to.rotary = self._hold(layer.sinks), self._hold(layer.rotary)
        to.scaling = layer.scaling
        to.softcap = layer.softcap or 0.0
        to.window = layer.window or 0

    def _widen_heads(self, linear: MergedLinear) -> tuple[Tensor, Tensor | None]:
        """Pad every head with zeros to a multiple of the kernels' lanes."""
        weight, bias = linear.take_dense()
        pad = self.head_dim - self.spec.head_dim
        if pad:
            weight = functional.pad(
                weight.view(-1, self.spec.head_dim, linear.in_features), (0, 0, 0, pad)
            )
            weight = weight.flatten(0, 1)
            if bias is not None:
                bias = functional.pad(bias.view(-1, self.spec.head_dim), (0, pad)).flatten()
        return weight, bias

    def _interleave(self, linear: MergedLinear) -> tuple[Tensor, Tensor | None]:
        """Put 32 gates and the 32 units that they open into each tile."""
        weight, bias = linear.take_dense()
        return _in_turns(weight), None if bias is None else _in_turns(bias[:, None])[:, 0]

    def _linear(self, weight: Tensor, bias: Tensor | None) -> structs.Linear:
        n, k = weight.shape
        scale = offset = None
        if self._int8:
            kind = structs.KIND_I8
            weight, scale, offset = quantize(weight)
        else:
            weight = weight.to(self.spec.dtype)
            if weight.dtype == torch.float32 and k % 2 == 0:
                weight = halved(weight)
            kind = _KINDS[weight.dtype]
        packed = pack(weight)
        padded = packed.shape[0] * _TILE - n
        return structs.Linear(
            weight=self._hold(packed),
            bias=self._hold(None if bias is None else functional.pad(bias, (0, padded))),
            scale=self._hold(None if scale is None else functional.pad(scale, (0, padded))),
            offset=self._hold(None if offset is None else functional.pad(offset, (0, padded))),
            n=n,
            k=k,
            kind=kind,
            num_tiles=packed.shape[0],
        )

    def _hold(self, tensor: Tensor | None) -> int | None:
        if tensor is None:
            return None
        assert tensor.is_contiguous()
        self._held.append(tensor)
        return tensor.data_ptr()


def pack(weight: Tensor) -> Tensor:
    """Lay ``[n, k]`` out as ``[ceil(n / 64), k words, 64]`` words, as int32, padded with zeros."""
    words = weight.contiguous().view(torch.int32)  # [n, words]
    words = functional.pad(words, (0, 0, 0, -words.shape[0] % _TILE))
    tiles = words.view(-1, _TILE, words.shape[1]).transpose(1, 2)
    return prefer_huge_pages(torch.empty(tiles.shape, dtype=torch.int32)).copy_(tiles)


def halved(weight: Tensor) -> Tensor:
    """Return the same numbers in bfloat16 where all of them have one, else as they are.

    A checkpoint in bfloat16 that is computed in float32 is read from half of the memory so.
    """
    half = weight.bfloat16()
    return half if torch.equal(half.to(weight.dtype), weight) else weight


def quantize(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Round each output channel to 255 levels, symmetric around zero.

    Returns:
        ``[n, k]`` int8; ``[n]`` float32, what one level is worth; ``[n]`` int32, 128 times the sum
        of the levels, which the kernels subtract because their other side counts from 128.
    """
    rounded = quantise_per_channel(weight, "int8")
    sums = rounded.payload.sum(dim=1, dtype=torch.int32)
    return rounded.payload, rounded.scales[:, 0].contiguous(), sums * 128


def _in_turns(stacked: Tensor) -> Tensor:
    """Turn ``[gates; ups]`` into 32 gates, 32 ups, 32 gates …, each half padded to that."""
    gates, ups = stacked.chunk(2)
    pad = -gates.shape[0] % _GATES
    turns = [
        functional.pad(half, (0, 0, 0, pad)).view(-1, _GATES, stacked.shape[1])
        for half in (gates, ups)
    ]
    return torch.stack(turns, dim=1).flatten(0, 2)
