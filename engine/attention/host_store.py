"""Host memory for blocks that lost their place on the device: allocated once, never grown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attention.kv_store import BlockStore


class HostStore:
    """Copies of blocks of a `BlockStore`, by host slot.

    Copies run on the stream that computes, so they are in order with what reads and writes the
    blocks; beside a GPU the host's side is pinned, so that they do not make the host wait.
    """

    def __init__(self, store: BlockStore, num_slots: int) -> None:
        """Allocate ``num_slots`` slots of the shape of the store's blocks."""
        self._device = [*store.keys, *store.values]
        pinned = store.keys[0].device.type == "cuda"
        self._host = [
            torch.zeros((num_slots, *t.shape[1:]), dtype=t.dtype, pin_memory=pinned)
            for t in (self._device if num_slots else [])
        ]

    @property
    def num_bytes(self) -> int:
        """Memory held."""
        return sum(t.numel() * t.element_size() for t in self._host)

    def offload(self, moves: Sequence[tuple[int, int]]) -> None:
        """Copy ``(block, slot)`` out of the device; the blocks stay as they are."""
        for device, host in zip(self._device, self._host, strict=False):
            for block, slot in moves:
                _copy(device[block], host[slot])

    def restore(self, moves: Sequence[tuple[int, int]]) -> None:
        """Copy ``(slot, block)`` back to the device; the slots stay as they are."""
        for device, host in zip(self._device, self._host, strict=False):
            for slot, block in moves:
                _copy(host[slot], device[block])


def _copy(source: Tensor, destination: Tensor) -> None:
    destination.copy_(source, non_blocking=True)
