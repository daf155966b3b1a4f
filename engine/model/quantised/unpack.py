"""From the tensors that a format stores for a layer to numbers, scales and zero points.

Pure functions. The layouts, with ``o`` outputs, ``i`` inputs and ``g`` groups of inputs:

* numbers: ``weight [o, i]`` float8_e4m3fn or int8, with ``weight_scale`` or ``weight_scale_inv``
  (which multiplies as well, whatever its name says) and perhaps ``weight_zero_point``;
* words (compressed-tensors' pack-quantized): ``weight_packed [o, i * bits / 32]``,
  ``weight_scale [o, g]``, ``weight_zero_point [o * bits / 32, g]``, ``weight_shape``,
  ``weight_g_idx [i]``;
* gptq: ``qweight [i * bits / 32, o]``, ``scales [g, o]``, ``qzeros [g, o * bits / 32]``,
  ``g_idx [i]``;
* awq: ``qweight [i, o / 8]``, ``scales [g, o]``, ``qzeros [g, o / 8]``, where the eight outputs in
  a word lie in the order of `_AWQ_ORDER`.

Words are int32 and hold the first number in their lowest bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.decoder.quantised import QuantisedWeight
from engine.errors import ModelNotFound, UnsupportedModel
from engine.model.quantised.scheme import WHOLE, WeightFormat

LEAVES = frozenset(
    {
        *("weight_scale", "weight_scale_inv", "weight_zero_point"),
        *("weight_packed", "weight_shape", "weight_g_idx"),
        *("qweight", "qzeros", "scales", "g_idx"),
    }
)
"""Names that only a quantised layer's tensors have."""

_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""In which nibble of its word each of eight outputs lies; AutoAWQ packs them as 0 2 4 6 1 3 5 7."""

_SLAB = 1 << 19
"""Elements that are in float32 at one time; they stay in a core's cache, which is 4 times as fast
as 16 million of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Unpacked:
    """The weight of a layer.

    Attributes:
        weight: With columns in the order of their groups.
        order: ``[in]``, where each of its columns belongs; ``None`` where they lie as they should.
            GPTQ puts inputs into groups by their activations' size if asked to (``desc_act``).
    """

    weight: QuantisedWeight
    order: Tensor | None

    def dense(self, dtype: torch.dtype) -> Tensor:
        """Return ``[out, in]``, computed in float32 and rounded once."""
        out, width = self.weight.shape
        dense = torch.empty(out, width, dtype=dtype)
        rows = self.weight.block[0] if self.weight.block[0] < out else 1
        step = max(1, _SLAB // (width * rows)) * rows
        for start in range(0, out, step):
            slab = _rows(self.weight, start, min(start + step, out)).dequantise()
            if self.order is None:
                dense[start : start + step] = slab
            else:
                dense[start : start + step, self.order] = slab.to(dtype)
        return dense


def unpack(tensors: Mapping[str, Tensor], layout: WeightFormat, layer: str) -> Unpacked:
    """Return a layer's weight.

    Args:
        tensors: What is stored for it, by the last part of their names.
        layout: How it is stored.
        layer: Its name, for messages.

    Raises:
        ModelNotFound: A tensor is missing.
        UnsupportedModel: A tensor is of another type or shape, or a scale is not finite.
    """
    return _READERS[layout.storage](_Tensors(tensors, layer), layout)


class _Tensors:
    """The tensors of one layer, looked at before they are used."""

    def __init__(self, tensors: Mapping[str, Tensor], layer: str) -> None:
        self._tensors = tensors
        self.layer = layer

    def has(self, name: str) -> bool:
        return name in self._tensors

    def get(self, name: str, *, dtype: torch.dtype | None = None, dim: int | None = None) -> Tensor:
        tensor = self._tensors.get(name)
        if tensor is None:
            raise ModelNotFound(
                f"{self.layer} is quantised but has no {name}; fetch the checkpoint again"
            )
        if dtype is not None and tensor.dtype != dtype:
            raise self.wrong(f"{name} is {_name(tensor.dtype)} where {_name(dtype)} belongs")
        if dim is not None and tensor.dim() != dim:
            raise self.wrong(f"{name} has {tensor.dim()} dimensions where {dim} belong")
        return tensor

    def wrong(self, what: str) -> UnsupportedModel:
        return UnsupportedModel(
            f"{self.layer}: {what}; the checkpoint is damaged, or not as it says; fetch it again"
        )


def _read_numbers(tensors: _Tensors, layout: WeightFormat) -> Unpacked:
    dtype = torch.float8_e4m3fn if layout.kind == "float" else torch.int8
    payload = tensors.get("weight", dtype=dtype, dim=2)
    inverse = tensors.has("weight_scale_inv")
    scales = tensors.get("weight_scale_inv" if inverse else "weight_scale")
    zeros = None
    if layout.needs_zeros or tensors.has("weight_zero_point"):
        zeros = tensors.get("weight_zero_point")
    return _finish(tensors, layout, payload, scales, zeros, bits=8)


def _read_words(tensors: _Tensors, layout: WeightFormat) -> Unpacked:
    out, width = _shape(tensors)
    words = tensors.get("weight_packed", dtype=torch.int32, dim=2)
    if list(words.shape) != [out, -(-width * layout.bits // 32)]:
        raise tensors.wrong(f"weight_packed of {list(words.shape)} cannot hold {[out, width]}")
    scales = tensors.get("weight_scale")
    zeros = None
    if layout.needs_zeros or tensors.has("weight_zero_point"):
        zeros = tensors.get("weight_zero_point")
        if zeros.dtype == torch.int32:
            _check_words(tensors, "weight_zero_point", zeros, out, layout, dim=0)
            zeros = _unpack(zeros.T, layout.bits)[:, :out].T
        else:  # early versions stored them one by one, and signed
            zeros = zeros.float() + 2 ** (layout.bits - 1)
    order = "weight_g_idx" if tensors.has("weight_g_idx") else None
    payload = _unpack(words, layout.bits)[:, :width]
    return _finish(tensors, layout, payload, scales, zeros, bits=layout.bits, order=order)


def _shape(tensors: _Tensors) -> tuple[int, int]:
    sizes = tensors.get("weight_shape").flatten().tolist()
    if len(sizes) != 2 or min(sizes) < 1:
        raise tensors.wrong(f"weight_shape is {sizes} where outputs and inputs belong")
    return int(sizes[0]), int(sizes[1])


def _read_gptq(tensors: _Tensors, layout: WeightFormat) -> Unpacked:
    payload = _unpack(tensors.get("qweight", dtype=torch.int32, dim=2).T, layout.bits)
    words = tensors.get("qzeros", dtype=torch.int32, dim=2)
    _check_words(tensors, "qzeros", words, payload.shape[0], layout, dim=1)
    # what overflows wraps round, as in AutoGPTQ
    zeros = (_unpack(words, layout.bits) + layout.zero_shift) & (2**layout.bits - 1)
    scales = tensors.get("scales", dim=2)
    order = "g_idx" if tensors.has("g_idx") else None
    return _finish(tensors, layout, payload, scales.T, zeros.T, bits=layout.bits, order=order)


def _read_awq(tensors: _Tensors, layout: WeightFormat) -> Unpacked:
    payload = _awq_outputs(tensors.get("qweight", dtype=torch.int32, dim=2))
    words = tensors.get("qzeros", dtype=torch.int32, dim=2)
    scales = tensors.get("scales", dim=2)
    return _finish(tensors, layout, payload, scales.T, _awq_outputs(words), bits=4)


def _awq_outputs(words: Tensor) -> Tensor:
    """Return ``[outputs, rows]`` of ``[rows, outputs / 8]``."""
    rows, count = words.shape
    nibbles = _unpack(words, 4).view(rows, count, 8)
    return nibbles[:, :, list(_AWQ_ORDER)].view(rows, 8 * count).T


def _unpack(words: Tensor, bits: int) -> Tensor:
    """Return ``[rows, n * 32 / bits]`` uint8 of ``[rows, n]`` int32."""
    rows, count = words.shape
    # the processors served are little-endian
    octets = words.reshape(-1).view(torch.uint8).view(rows, 4 * count)
    if bits == 8:
        return octets
    return torch.stack((octets & 15, octets >> 4), dim=-1).flatten(1)


def _check_words(
    tensors: _Tensors, name: str, words: Tensor, count: int, layout: WeightFormat, *, dim: int
) -> None:
    needed = -(-count * layout.bits // 32)
    if words.dim() != 2 or words.shape[dim] != needed:
        raise tensors.wrong(
            f"{name} of {list(words.shape)} where {needed} words for {count} belong"
        )


def _finish(
    tensors: _Tensors,
    layout: WeightFormat,
    payload: Tensor,
    scales: Tensor,
    zeros: Tensor | None,
    *,
    bits: int,
    order: str | None = None,
) -> Unpacked:
    """Check what belongs together, and bring it into the form that is multiplied from.

    Args:
        tensors: For messages.
        layout: How the layer is stored.
        payload: ``[out, in]``; unsigned where it was packed.
        scales: ``[rows, columns]`` of blocks, or fewer dimensions.
        zeros: Likewise, counted as the payload is; ``None`` for the middle.
        bits: Of one number of the payload.
        order: Name of the tensor that tells each input's group.
    """
    out, width = payload.shape
    if min(out, width) < 1:
        raise tensors.wrong(f"a weight of {[out, width]}")
    rows, columns = (
        size if size != WHOLE else whole
        for size, whole in zip(layout.block, (out, width), strict=True)
    )
    shape = (-(-out // rows), -(-width // columns))
    if not scales.is_floating_point():
        raise tensors.wrong(f"scales are {_name(scales.dtype)}")
    scales = _per_block(tensors, "scales", scales, shape)
    if not bool(scales.isfinite().all()):
        raise tensors.wrong("a scale is not finite")
    if zeros is not None:
        zeros = _per_block(tensors, "zero points", zeros, shape)
    if payload.dtype == torch.uint8 and bits == 8:
        payload = (payload ^ 0x80).view(torch.int8)  # less 128
        zeros = None if zeros is None else zeros - 128
    permutation = None if order is None else _permutation(tensors, order, width, columns)
    if permutation is not None:
        payload = payload[:, permutation]
    middle = 8.0 if bits == 4 else 0.0
    if zeros is not None and bool((zeros == middle).all()):
        zeros = None
    weight = QuantisedWeight(
        payload.contiguous(), scales, zeros, (rows, columns), 4 if bits == 4 else 8
    )
    return Unpacked(weight, permutation)


def _per_block(tensors: _Tensors, what: str, found: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return ``shape`` float32; what is one for all, or one for each row, may lack dimensions."""
    fits = tuple(found.shape) == shape or (
        found.dim() < 2 and found.numel() == shape[0] and shape[1] == 1
    )
    if not fits:
        raise tensors.wrong(f"{what} of {list(found.shape)} where {list(shape)} belong")
    return found.reshape(shape).float().contiguous()


def _permutation(tensors: _Tensors, name: str, width: int, columns: int) -> Tensor | None:
    """Return the inputs in the order of their groups, or ``None`` when they lie in it."""
    groups = tensors.get(name, dim=1).long()
    expected = torch.arange(width) // columns
    if torch.equal(groups, expected) or bool((groups == -1).all()):  # -1: a place that was not used
        return None
    order = groups.argsort(stable=True)
    if groups.shape[0] != width or not torch.equal(groups[order], expected):
        raise tensors.wrong(f"{name} does not put {width} inputs into groups of {columns}")
    return order


def _rows(weight: QuantisedWeight, start: int, end: int) -> QuantisedWeight:
    """Return some of the outputs, from the start of a block on, or of what is one block."""
    rows = weight.block[0]
    blocks = slice(start // rows, -(-end // rows))
    zeros = None if weight.zeros is None else weight.zeros[blocks]
    return QuantisedWeight(
        weight.payload[start:end], weight.scales[blocks], zeros, weight.block, weight.bits
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


_READERS = {
    "numbers": _read_numbers,
    "words": _read_words,
    "gptq": _read_gptq,
    "awq": _read_awq,
}
