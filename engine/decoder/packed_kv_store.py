"""Keys and values as the C++ kernels read them (`engine/native/src/attention.h`)."""

from __future__ import annotations

import torch

from engine.attention.kv_store import BlockStore
from engine.config import BLOCK_SIZE
from engine.native.huge_pages import prefer_huge_pages

_WORD_BYTES = 4


class PackedKVStore(BlockStore):
    """Blocks in which sixteen tokens, or sixteen numbers of a value, lie side by side.

    Keys are ``[num_blocks, kv_heads, dim / n, block_size, n]`` and values ``[num_blocks, kv_heads,
    block_size / n, dim, n]``, where ``n`` numbers share a word of 32 bits.

    Args:
        num_layers: How many layers keep keys and values.
        num_blocks: The whole budget, zeroed.
        kv_heads: Key heads of every layer.
        head_dim: Width of a head, a multiple of 16.
        dtype: float32 or bfloat16.
    """

    def __init__(
        self, num_layers: int, num_blocks: int, kv_heads: int, head_dim: int, dtype: torch.dtype
    ) -> None:
        per_word = _WORD_BYTES // dtype.itemsize
        key = (num_blocks, kv_heads, head_dim // per_word, BLOCK_SIZE, per_word)
        value = (num_blocks, kv_heads, BLOCK_SIZE // per_word, head_dim, per_word)
        self._per_word = per_word
        self.stacks = [
            prefer_huge_pages(torch.zeros(num_layers, *shape, dtype=dtype))
            for shape in (key, value)
        ]
        self.keys, self.values = (list(stack.unbind()) for stack in self.stacks)

    def clear_tail(self, block: int, offset: int) -> None:
        """Zero a block from ``offset`` on in every layer."""
        keys, values = self.stacks
        keys[:, block, :, :, offset:] = 0.0
        for token in range(offset, BLOCK_SIZE):
            values[:, block, :, token // self._per_word, :, token % self._per_word] = 0.0
