"""Who holds which block: reference counts and the order in which free blocks are reused."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable


class BlockPool:
    """A fixed number of blocks, each free or held by one or more owners.

    A free block is blank, or it still holds a reusable prefix. Blank ones are handed out first,
    then the one that has been free for longest (LRU).

    Args:
        num_blocks: How many there are.
        holds_prefix: Whether a block's content is reusable.
        on_reuse: Hears of each block whose reusable content is given up.
    """

    def __init__(
        self,
        num_blocks: int,
        *,
        holds_prefix: Callable[[int], bool],
        on_reuse: Callable[[int], None],
    ) -> None:
        self.num_blocks = num_blocks
        self._holds_prefix = holds_prefix
        self._on_reuse = on_reuse
        self._references = [0] * num_blocks
        self._blank: dict[int, None] = dict.fromkeys(reversed(range(num_blocks)))
        self._cached: OrderedDict[int, None] = OrderedDict()

    @property
    def num_free(self) -> int:
        """Blocks nobody holds, blank or not."""
        return len(self._blank) + len(self._cached)

    @property
    def num_cached(self) -> int:
        """Blocks nobody holds that still hold a reusable prefix."""
        return len(self._cached)

    def references(self, block_id: int) -> int:
        """How many owners hold a block."""
        return self._references[block_id]

    def take(self, count: int) -> list[int] | None:
        """Hold ``count`` fresh blocks, or none at all.

        Returns:
            Their ids; ``None``, with nothing changed, when fewer are free.
        """
        if count > self.num_free:
            return None
        taken = []
        for _ in range(count):
            if self._blank:
                block_id, _ = self._blank.popitem()
            else:
                block_id, _ = self._cached.popitem(last=False)
                self._on_reuse(block_id)
            self._references[block_id] = 1
            taken.append(block_id)
        return taken

    def share(self, block_ids: Iterable[int]) -> None:
        """Add an owner to each block; a free one is free no longer."""
        for block_id in block_ids:
            if self._references[block_id] == 0:
                del self._cached[block_id]
            self._references[block_id] += 1

    def release(self, block_ids: Iterable[int]) -> None:
        """Take an owner off each block, in this order: the first released is reused first."""
        for block_id in block_ids:
            references = self._references[block_id]
            assert references > 0, f"block {block_id} is released but nobody holds it"
            self._references[block_id] = references - 1
            if references == 1:
                free = self._cached if self._holds_prefix(block_id) else self._blank
                free[block_id] = None

    def blank_all(self) -> None:
        """Give up the reusable content of every free block."""
        for block_id in self._cached:
            self._on_reuse(block_id)
            self._blank[block_id] = None
        self._cached.clear()

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless each block is either free once or held."""
        for block_id, references in enumerate(self._references):
            places = (references > 0) + (block_id in self._blank) + (block_id in self._cached)
            assert references >= 0, f"block {block_id} has {references} owners"
            assert places == 1, f"block {block_id} with {references} owners is in {places} places"
            if references == 0:
                assert (block_id in self._cached) == self._holds_prefix(block_id), (
                    f"free block {block_id} is filed wrongly"
                )
