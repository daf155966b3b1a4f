"""Tiny quantised checkpoints of every format that is read, packed from the formats' definitions.

Nothing here comes from the code under test: numbers are rounded and packed one column at a time in
numpy, and what they stand for is kept beside them in float32.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.support.tiny_models import make_model, save_model

Array = NDArray[Any]
Packed = tuple[dict[str, Tensor], Array]
"""A layer's tensors by the last part of their names, and the weight that they stand for."""

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight outputs AutoAWQ puts into each nibble of a word, from the lowest."""


@dataclass(frozen=True)
class Format:
    """A format, with settings.

    Attributes:
        config: `quantization_config`.
        pack: Quantises a layer's weight.
    """

    config: Mapping[str, Any]
    pack: Callable[[Array], Packed]


def write_quantised(
    folder: Path, fmt: Format, family: str = "llama", *, plain: Sequence[str] = ("lm_head",)
) -> dict[str, Tensor]:
    """Write a family's tiny checkpoint with its linear layers quantised.

    Args:
        folder: Becomes the checkpoint.
        fmt: How.
        family: Of the model.
        plain: Endings of the names of layers that stay as they are.

    Returns:
        The model's float32 state, with what the quantised weights stand for.
    """
    model = make_model(family)
    save_model(model, folder)
    stored = load_file(folder / "model.safetensors")
    dense: dict[str, Tensor] = dict(model.state_dict())
    for name, module in model.named_modules():
        if type(module) is nn.Linear and not name.endswith(tuple(plain)):
            tensors, weight = fmt.pack(module.weight.numpy())
            del stored[f"{name}.weight"]
            stored |= {f"{name}.{leaf}": tensor.contiguous() for leaf, tensor in tensors.items()}
            dense[f"{name}.weight"] = torch.from_numpy(weight)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    set_quantization_config(folder, fmt.config)
    return dense


def write_dense(folder: Path, dense: Mapping[str, Tensor], family: str = "llama") -> Path:
    """Write the checkpoint that a quantised one stands for, as transformers reads it by itself."""
    model = make_model(family)
    model.load_state_dict(dense)
    return save_model(model, folder)


def set_quantization_config(folder: Path, entry: Mapping[str, Any] | None) -> None:
    """Put an entry into `config.json`, or take it out."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    if entry is not None:
        config["quantization_config"] = dict(entry)
    path.write_text(json.dumps(config), encoding="utf-8")


def pack_words(values: Array, bits: int) -> Tensor:
    """Return ``[rows, n * bits / 32]`` int32 of ``[rows, n]`` unsigned, the first lowest."""
    words = np.zeros((values.shape[0], -(-values.shape[1] * bits // 32)), np.uint32)
    for column in range(values.shape[1]):
        word, shift = divmod(column * bits, 32)
        words[:, word] |= values[:, column].astype(np.uint32) << np.uint32(shift)
    return torch.from_numpy(words.view(np.int32))


def spread(per_block: Array, block: tuple[int, int], shape: tuple[int, ...]) -> Array:
    """Return ``shape`` of one number for each block of it."""
    rows = np.repeat(per_block, block[0], axis=0)[: shape[0]]
    return np.repeat(rows, block[1], axis=1)[:, : shape[1]]


def largest(weight: Array, block: tuple[int, int], take: Any = np.max) -> Array:
    """Return the largest number of each block, or the smallest."""
    return np.array(
        [
            [
                take(weight[r : r + block[0], c : c + block[1]])
                for c in range(0, weight.shape[1], block[1])
            ]
            for r in range(0, weight.shape[0], block[0])
        ],
        np.float32,
    )


def rounded(scales: Array, dtype: torch.dtype) -> tuple[Tensor, Array]:
    """Return scales as they are stored, and as they are computed with."""
    stored = torch.from_numpy(scales).to(dtype)
    return stored, stored.float().numpy()


def float8(
    weight: Array, block: tuple[int, int], dtype: torch.dtype
) -> tuple[Tensor, Tensor, Array]:
    """Return a payload, its scales, and what they stand for."""
    stored, scales = rounded(largest(np.abs(weight), block) / 448, dtype)
    levels = weight / spread(scales, block, weight.shape)
    payload = torch.from_numpy(levels).clamp(-448, 448).to(torch.float8_e4m3fn)
    return payload, stored, payload.float().numpy() * spread(scales, block, weight.shape)


def integers(
    weight: Array, block: tuple[int, int], bits: int, *, symmetric: bool, dtype: torch.dtype
) -> tuple[Array, Tensor, Array, Array]:
    """Return unsigned numbers, stored scales, zero points, and what they stand for."""
    top = 2**bits - 1
    if symmetric:
        stored, scales = rounded(largest(np.abs(weight), block) / (top // 2), dtype)
        zeros = np.full_like(scales, 2 ** (bits - 1))
    else:
        low, high = largest(weight, block, np.min), largest(weight, block)
        stored, scales = rounded((high - low) / (top - 1), dtype)
        # never 0, which GPTQ's first version cannot store
        zeros = np.clip(np.round(-low / scales) + 1, 1, top).astype(np.float32)
    levels = np.round(weight / spread(scales, block, weight.shape))
    numbers = np.clip(levels + spread(zeros, block, weight.shape), 0, top).astype(np.float32)
    dense = (numbers - spread(zeros, block, weight.shape)) * spread(scales, block, weight.shape)
    return numbers, stored, zeros, dense


def fp8(block: tuple[int, int] | None, name: str, dtype: torch.dtype = torch.float32) -> Format:
    """FP8 with scales of blocks, or of whole tensors, under a name."""

    def pack(weight: Array) -> Packed:
        size = block or (weight.shape[0], weight.shape[1])
        payload, scales, dense = float8(weight, size, dtype)
        return {
            "weight": payload,
            name: scales if block else scales.reshape(()),
            "input_scale": torch.tensor(0.5),
        }, dense

    config: dict[str, Any] = {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "modules_to_not_convert": ["lm_head"],
    }
    return Format({**config, "weight_block_size": list(block)} if block else config, pack)


def compressed(
    layout: str, weights: Mapping[str, Any], pack: Callable[[Array], Packed], **more: Any
) -> Format:
    """compressed-tensors with one group."""
    group = {"targets": ["Linear"], "weights": dict(weights), "input_activations": None}
    config = {
        "quant_method": "compressed-tensors",
        "format": layout,
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": group},
        **more,
    }
    return Format(config, pack)


def compressed_float8(strategy: str, block: tuple[int, int] | None = None) -> Format:
    """compressed-tensors' FP8: ``tensor``, ``channel`` or ``block``."""

    def pack(weight: Array) -> Packed:
        rows = 1 if strategy == "channel" else weight.shape[0]
        size = block or (rows, weight.shape[1])
        payload, scales, dense = float8(weight, size, torch.bfloat16)
        stored = scales.reshape(1) if strategy == "tensor" else scales
        return {"weight": payload, "weight_scale": stored}, dense

    weights: dict[str, Any] = {"num_bits": 8, "type": "float", "strategy": strategy}
    if block:
        weights["block_structure"] = list(block)
    return compressed("float-quantized", weights, pack)


def compressed_int8(*, symmetric: bool, group: int | None = None) -> Format:
    """compressed-tensors' int8, by channel or by group."""

    def pack(weight: Array) -> Packed:
        size = (1, group or weight.shape[1])
        numbers, scales, zeros, dense = integers(
            weight, size, 8, symmetric=symmetric, dtype=torch.bfloat16
        )
        tensors = {
            "weight": torch.from_numpy((numbers - 128).astype(np.int8)),
            "weight_scale": scales,
        }
        if not symmetric:
            tensors["weight_zero_point"] = torch.from_numpy((zeros - 128).astype(np.int8))
        return tensors, dense

    weights = {"num_bits": 8, "type": "int", "symmetric": symmetric}
    by = {"strategy": "group", "group_size": group} if group else {"strategy": "channel"}
    return compressed("int-quantized", {**weights, **by}, pack)


def compressed_packed(bits: int, group: int | None, *, symmetric: bool) -> Format:
    """compressed-tensors' pack-quantized integers."""

    def pack(weight: Array) -> Packed:
        size = (1, group or weight.shape[1])
        numbers, scales, zeros, dense = integers(
            weight, size, bits, symmetric=symmetric, dtype=torch.bfloat16
        )
        tensors = {
            "weight_packed": pack_words(numbers, bits),
            "weight_scale": scales,
            "weight_shape": torch.tensor(weight.shape),
        }
        if not symmetric:
            tensors["weight_zero_point"] = pack_words(zeros.T, bits).T
        return tensors, dense

    by = {"strategy": "group", "group_size": group} if group else {"strategy": "channel"}
    weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, **by}
    return compressed("pack-quantized", weights, pack)


def awq(group: int) -> Format:
    """AutoAWQ's gemm version."""

    def pack_outputs(numbers: Array) -> Tensor:
        """Pack ``[rows, outputs]`` as AutoAWQ does."""
        columns = [8 * word + place for word in range(numbers.shape[1] // 8) for place in AWQ_ORDER]
        return pack_words(numbers[:, columns], 4)

    def pack(weight: Array) -> Packed:
        numbers, scales, zeros, dense = integers(
            weight, (1, group), 4, symmetric=False, dtype=torch.float16
        )
        return {
            "qweight": pack_outputs(numbers.T),
            "qzeros": pack_outputs(zeros.T),
            "scales": scales.T,
        }, dense

    config = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm"}
    return Format({**config, "zero_point": True, "modules_to_not_convert": None}, pack)


def gptq(
    bits: int, group: int, *, symmetric: bool = False, version: str = "gptq", desc_act: bool = False
) -> Format:
    """GPTQ; with ``desc_act`` its inputs belong to groups in no order."""

    def pack(weight: Array) -> Packed:
        width = weight.shape[1]
        size = group if group > 0 else width
        order = np.arange(width)
        if desc_act:
            order = np.random.default_rng(width).permutation(width)
        numbers, scales, zeros, dense = integers(
            weight[:, order], (1, size), bits, symmetric=symmetric, dtype=torch.float16
        )
        back = np.argsort(order)
        return {
            "qweight": pack_words(numbers[:, back], bits).T,
            "qzeros": pack_words(zeros.T - (version == "gptq"), bits),
            "scales": scales.T,
            "g_idx": torch.from_numpy((back // size).astype(np.int32)),
        }, np.ascontiguousarray(dense[:, back])

    config = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric}
    return Format({**config, "desc_act": desc_act, "checkpoint_format": version}, pack)


FORMATS: dict[str, Format] = {
    "fp8-blocks": fp8((32, 48), "weight_scale_inv", torch.bfloat16),
    "fp8-tensor": fp8(None, "weight_scale"),
    "fp8-tensor-inverse": fp8(None, "weight_scale_inv"),
    "compressed-fp8-tensor": compressed_float8("tensor"),
    "compressed-fp8-channel": compressed_float8("channel"),
    "compressed-fp8-block": compressed_float8("block", (32, 48)),
    "compressed-int8-channel": compressed_int8(symmetric=True),
    "compressed-int8-channel-zeros": compressed_int8(symmetric=False),
    "compressed-int8-group": compressed_int8(symmetric=True, group=16),
    "compressed-int4-group": compressed_packed(4, 16, symmetric=True),
    "compressed-int4-group-zeros": compressed_packed(4, 16, symmetric=False),
    "compressed-int4-channel": compressed_packed(4, None, symmetric=True),
    "compressed-int8-packed": compressed_packed(8, 16, symmetric=False),
    "awq": awq(16),
    "gptq-4": gptq(4, 16),
    "gptq-4-symmetric": gptq(4, 16, symmetric=True),
    "gptq-4-v2": gptq(4, 16, version="gptq_v2"),
    "gptq-4-one-group": gptq(4, -1),
    "gptq-4-desc-act": gptq(4, 16, desc_act=True),
    "gptq-8": gptq(8, 16),
    "gptq-8-symmetric": gptq(8, 16, symmetric=True),
}
