"""How long a free block keeps its reusable content: its class, and what the class follows from.

Free blocks are given up class by class (`Retention`), and within a class the least recently used
first. A block is *pinned* while it holds a character's prompt, and carries a conversation's *name*
from the end of that conversation's turn. Both stay on a block while somebody else shares it, so
that a stranger who passes through does not push a conversation down; they go when its content does.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable


class Retention(enum.IntEnum):
    """Classes of free blocks, in the order in which they are given up."""

    BLANK = 0
    """Holds nothing that could be reused."""
    CACHED = 1
    """Holds a prefix that somebody once had."""
    WARM = 2
    """Holds a conversation whose next turn is expected."""
    PINNED = 3
    """Holds a character's prompt, which every conversation with it begins with."""


class RetentionRules:
    """Which blocks are pinned, and which conversation left which blocks.

    Bounded by the number of blocks: each has at most one pin and one name.

    Args:
        holds_prefix: Whether a block's content is reusable.
        max_pinned: Blocks pinned at a time, held and free ones together.
    """

    def __init__(self, *, holds_prefix: Callable[[int], bool], max_pinned: int) -> None:
        self.max_pinned = max_pinned
        self._holds_prefix = holds_prefix
        self._pinned: set[int] = set()
        self._names: dict[int, str] = {}
        self._blocks: dict[str, dict[int, None]] = {}

    @property
    def num_pinned(self) -> int:
        """Pinned blocks, held and free ones together."""
        return len(self._pinned)

    def class_of(self, block_id: int) -> Retention:
        """Return the class that a block is in, or would be in if nobody held it."""
        if not self._holds_prefix(block_id):
            return Retention.BLANK
        if block_id in self._pinned:
            return Retention.PINNED
        return Retention.WARM if block_id in self._names else Retention.CACHED

    def is_pinned(self, block_id: int) -> bool:
        """Whether a block is pinned."""
        return block_id in self._pinned

    def pin(self, block_id: int) -> bool:
        """Pin a block.

        Returns:
            Whether it is pinned now; not when there are ``max_pinned`` others.
        """
        if block_id not in self._pinned and len(self._pinned) >= self.max_pinned:
            return False
        self._pinned.add(block_id)
        return True

    def demote(self, block_id: int) -> None:
        """Make a block merely cached."""
        self._pinned.discard(block_id)
        self._take_name(block_id)

    def name(self, block_ids: Iterable[int], conversation_id: str) -> None:
        """Note that a conversation left these blocks; a later one's name replaces an earlier's."""
        for block_id in block_ids:
            self._take_name(block_id)
            self._names[block_id] = conversation_id
            self._blocks.setdefault(conversation_id, {})[block_id] = None

    def release_conversation(self, conversation_id: str) -> list[int]:
        """Take a conversation's name off its blocks.

        Returns:
            Those blocks, in the order in which they were named.
        """
        block_ids = list(self._blocks.pop(conversation_id, ()))
        for block_id in block_ids:
            del self._names[block_id]
        return block_ids

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless the pins are within their limit and names agree."""
        assert len(self._pinned) <= self.max_pinned, "more blocks are pinned than may be"
        listed = {b: name for name, blocks in self._blocks.items() for b in blocks}
        assert listed == self._names, "blocks and conversations differ"
        assert all(self._blocks.values()), "a conversation without blocks is remembered"
        for block_id in self._pinned:
            assert self._holds_prefix(block_id), f"pinned block {block_id} holds nothing"

    def _take_name(self, block_id: int) -> None:
        name = self._names.pop(block_id, None)
        if name is not None:
            blocks = self._blocks[name]
            del blocks[block_id]
            if not blocks:
                del self._blocks[name]
