"""The memory that keys and values live in: allocated once, never grown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.attention.transfer import bring
from engine.config import BLOCK_SIZE, KVCacheDType

KVFormat = Literal["", "int8", "fp8"]
"""How numbers are kept in eight bits; empty where they are kept as they are."""

SCALE_DTYPE = torch.bfloat16
"""Of the scales beside numbers in eight bits."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one layer keeps per token.

    Attributes:
        num_kv_heads: Heads that hold keys and values.
        key_dim: Width of a key.
        value_dim: Width of a value; most models have both equal.
        window: How many keys a query sees, itself included; ``None`` for all.
    """

    num_kv_heads: int
    key_dim: int
    value_dim: int
    window: int | None = None

    @property
    def elements_per_token(self) -> int:
        """Numbers stored per token."""
        return self.num_kv_heads * (self.key_dim + self.value_dim)

    @property
    def scales_per_token(self) -> int:
        """Scales beside them where they are kept in eight bits."""
        return 2 * self.num_kv_heads


def resolve_kv_dtype(asked: KVCacheDType, dtype: torch.dtype) -> torch.dtype:
    """Return what keys and values are kept in beside activations of ``dtype``."""
    return {"auto": dtype, "fp8": torch.float8_e4m3fn, "int8": torch.int8}[asked]


def kv_format(dtype: torch.dtype) -> KVFormat:
    """Return the format of a KV dtype, or of a tensor of its codes."""
    formats: dict[torch.dtype, KVFormat] = {
        torch.int8: "int8",
        torch.uint8: "fp8",
        torch.float8_e4m3fn: "fp8",
    }
    return formats.get(dtype, "")


def kv_bytes_per_token(layers: Sequence[LayerShape], dtype: torch.dtype) -> int:
    """Bytes that one token costs in all layers together, scales included."""
    num_bytes = sum(layer.elements_per_token for layer in layers) * dtype.itemsize
    if kv_format(dtype):
        num_bytes += sum(layer.scales_per_token for layer in layers) * SCALE_DTYPE.itemsize
    return num_bytes


class BlockStore(ABC):
    """Blocks of keys and values, and of their scales where they are kept in eight bits.

    Tensors of one shape lie side by side for all layers, so that one operation reaches them all.

    Attributes:
        stacks: ``[layers, num_blocks, ...]``, all the memory there is.
        keys: Per layer, a part of a stack.
        values: Per layer, likewise.
    """

    stacks: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]

    @property
    def num_blocks(self) -> int:
        """Blocks of every layer."""
        return int(self.stacks[0].shape[1])

    @property
    def num_bytes(self) -> int:
        """Memory held."""
        return sum(stack.numel() * stack.element_size() for stack in self.stacks)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.stacks[0].device

    def indices(self, blocks: Sequence[int]) -> Tensor:
        """Return block ids as ``[blocks]`` int64 on the store's device, without waiting for it."""
        return bring(blocks, self.device, torch.int64)

    def copy_blocks(self, copies: Sequence[tuple[int, int]]) -> None:
        """Copy blocks in every layer; all sources are read before any destination is written."""
        if not copies:
            return
        sources = self.indices([source for source, _ in copies])
        destinations = self.indices([destination for _, destination in copies])
        for stack in self.stacks:
            stack.index_copy_(1, destinations, stack.index_select(1, sources))

    def clear_blocks(self, blocks: Sequence[int]) -> None:
        """Zero these blocks in every layer."""
        if not blocks:
            return
        indices = self.indices(blocks)
        for stack in self.stacks:
            stack.index_fill_(1, indices, 0)

    @abstractmethod
    def clear_tail(self, block: int, offset: int) -> None:
        """Zero a block from ``offset`` on in every layer."""


class KVStore(BlockStore):
    """Keys and values of all layers, ``[num_blocks, block_size, kv_heads, dim]`` each.

    In eight bits a number is its code times the scale of its token and head, which is kept in
    ``[num_blocks, block_size, kv_heads]`` for keys and for values; codes of ``fp8`` are kept as
    bytes. Only the GPU's kernels write and read those.

    Attention in torch reads whole blocks and multiplies what a query must not see by zero. Zero
    times not-a-number is not zero, so there a block is cleared when a sequence starts to fill it:
    whatever a broken sequence left behind must not reach the heir of its blocks. The GPU's kernels
    read nothing that no query of theirs may see, and clear nothing.

    Attributes:
        key_scales: Per layer; ``None`` where numbers are kept as they are.
        value_scales: Likewise.
    """

    def __init__(
        self,
        layers: Sequence[LayerShape],
        num_blocks: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Allocate the whole budget, zeroed.

        Args:
            layers: What each stores.
            num_blocks: The budget.
            dtype: Of the numbers; ``int8`` and ``float8_e4m3fn`` have scales.
            device: Where.
        """
        is_quantised = bool(kv_format(dtype))
        shapes = [(s.num_kv_heads, s.key_dim) for s in layers]
        shapes += [(s.num_kv_heads, s.value_dim) for s in layers]
        scales = [(s.num_kv_heads,) for s in layers] * 2 if is_quantised else []
        stored = torch.uint8 if dtype == torch.float8_e4m3fn else dtype
        numbers, stacks = _stacked(shapes, num_blocks, stored, device)
        found, scale_stacks = _stacked(scales, num_blocks, SCALE_DTYPE, device)
        self.stacks = stacks + scale_stacks
        count = len(layers)
        self.keys, self.values = numbers[:count], numbers[count:]
        none: list[Tensor | None] = [None] * count
        self.key_scales = [*found[:count]] or none
        self.value_scales = [*found[count:]] or none

    def write(self, layer: int, slots: Tensor, key: Tensor, value: Tensor) -> None:
        """Put the keys and values of new tokens into their slots.

        Args:
            layer: Index of the layer.
            slots: ``[tokens]`` int64, ``block * block_size + offset``.
            key: ``[kv_heads, tokens, key_dim]``.
            value: ``[kv_heads, tokens, value_dim]``.
        """
        assert self.key_scales[layer] is None, "eight bits are written by the GPU's kernels"
        for store, new in ((self.keys[layer], key), (self.values[layer], value)):
            store.flatten(0, 1).index_copy_(0, slots, new.transpose(0, 1))

    def gather(self, layer: int, blocks: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        """Read whole blocks.

        Args:
            layer: Index of the layer.
            blocks: ``[rows * blocks_per_row]`` int64 block ids.
            rows: How many sequences they belong to, in equal shares.

        Returns:
            Keys and values, ``[rows, kv_heads, tokens, dim]``, strided views of fresh copies.
        """
        assert self.key_scales[layer] is None, "eight bits are read by the GPU's kernels"
        key, value = (
            store.flatten(1)  # whole blocks as rows: on a CPU a quarter of the time of four axes
            .index_select(0, blocks)
            .view(rows, -1, store.shape[2], store.shape[3])
            .transpose(1, 2)
            for store in (self.keys[layer], self.values[layer])
        )
        return key, value

    def clear_tail(self, block: int, offset: int) -> None:
        """Zero a block from ``offset`` on in every layer."""
        for stack in self.stacks:
            stack[:, block, offset:] = 0


def _stacked(
    shapes: Sequence[tuple[int, ...]], num_blocks: int, dtype: torch.dtype, device: torch.device
) -> tuple[list[Tensor], list[Tensor]]:
    """Allocate a tensor per shape of one token, side by side with those of its shape.

    Returns:
        The tensors in order, ``[num_blocks, block_size, ...]``, and the stacks that they lie in.
    """
    stacks = {
        shape: torch.zeros(
            shapes.count(shape), num_blocks, BLOCK_SIZE, *shape, dtype=dtype, device=device
        )
        for shape in dict.fromkeys(shapes)
    }
    parts = {shape: iter(stack.unbind()) for shape, stack in stacks.items()}
    return [next(parts[shape]) for shape in shapes], list(stacks.values())
