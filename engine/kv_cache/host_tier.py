"""Blocks that lost their place on the device and are kept in host memory, by identity.

Only full blocks of conversations and characters come here; what is merely cached is given up. A
step moves blocks out, copies on the device, and moves blocks back in, in this order. A slot that is
part of the plan being made is not given to another block, so what was promised to come back does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable


class HostTier:
    """Which host slot holds which block; the least recently used is given up first.

    Args:
        num_slots: Blocks that fit; none on a CPU, where host memory is the device's own.
    """

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self._slots: OrderedDict[bytes, int] = OrderedDict()
        self._free = list(reversed(range(num_slots)))
        self._in_plan: set[int] = set()
        self._offloads: list[tuple[int, int]] = []

    def __len__(self) -> int:
        """Blocks held."""
        return len(self._slots)

    def __contains__(self, block_hash: bytes) -> bool:
        """Whether a block with this identity is here."""
        return block_hash in self._slots

    def keep(self, block_id: int, block_hash: bytes) -> None:
        """Take a block in whose place on the device is needed; it may be here already.

        When every slot is part of the plan that is being made, the block is given up.
        """
        if block_hash in self._slots:
            self._slots.move_to_end(block_hash)
            return
        slot = self._take_slot()
        if slot is not None:
            self._slots[block_hash] = slot
            self._in_plan.add(slot)
            self._offloads.append((block_id, slot))

    def fetch(self, hashes: Iterable[bytes]) -> list[int]:
        """Return the slots of the longest beginning that is here, safe until the plan is made.

        Args:
            hashes: Identities, oldest block first.
        """
        slots = []
        for block_hash in hashes:
            slot = self._slots.get(block_hash)
            if slot is None:
                break
            self._slots.move_to_end(block_hash)
            self._in_plan.add(slot)
            slots.append(slot)
        return slots

    def take_offloads(self) -> list[tuple[int, int]]:
        """Return ``(block, slot)`` of what the plan moves out; the next plan begins."""
        offloads, self._offloads = self._offloads, []
        self._in_plan.clear()
        return offloads

    def forget_all(self) -> None:
        """Give everything up, because what is in it cannot be trusted."""
        self._slots.clear()
        self._offloads.clear()
        self._in_plan.clear()
        self._free = list(reversed(range(self.num_slots)))

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless each slot is free or holds one block."""
        held = list(self._slots.values())
        assert sorted([*held, *self._free]) == list(range(self.num_slots)), "a slot is lost"
        assert {slot for _, slot in self._offloads} <= set(held), "a move to nowhere"

    def _take_slot(self) -> int | None:
        if self._free:
            return self._free.pop()
        for block_hash, slot in self._slots.items():
            if slot not in self._in_plan:
                del self._slots[block_hash]
                return slot
        return None
