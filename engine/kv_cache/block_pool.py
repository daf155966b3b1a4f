"""Who holds which block: reference counts and the order in which free blocks are reused."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from engine.kv_cache.retention import Retention


class BlockPool:
    """A fixed number of blocks, each free or held by one or more owners.

    Free blocks are handed out class by class (`Retention`), within a class the one that has been
    free for longest (LRU).

    Args:
        num_blocks: How many there are.
        class_of: The class of a block, asked when it becomes free or is refiled.
        on_reuse: Hears of each block whose reusable content is given up.
    """

    def __init__(
        self,
        num_blocks: int,
        *,
        class_of: Callable[[int], Retention],
        on_reuse: Callable[[int], None],
    ) -> None:
        self.num_blocks = num_blocks
        self._class_of = class_of
        self._on_reuse = on_reuse
        self._references = [0] * num_blocks
        self._free = [OrderedDict[int, None]() for _ in Retention]
        self._filed = [Retention.BLANK] * num_blocks  # where a free block is
        self._free[Retention.BLANK].update(dict.fromkeys(range(num_blocks)))
        self._num_free = num_blocks

    @property
    def num_free(self) -> int:
        """Blocks nobody holds, of whatever class."""
        return self._num_free

    @property
    def num_cached(self) -> int:
        """Blocks nobody holds that still hold a reusable prefix, of whatever class."""
        return self._num_free - len(self._free[Retention.BLANK])

    def num_free_of(self, retention: Retention) -> int:
        """Blocks nobody holds of one class."""
        return len(self._free[retention])

    def oldest_of(self, retention: Retention) -> int | None:
        """Return the block of a class that would be reused first; ``None`` without one."""
        return next(iter(self._free[retention]), None)

    def references(self, block_id: int) -> int:
        """How many owners hold a block."""
        return self._references[block_id]

    def take(self, count: int) -> list[int] | None:
        """Hold ``count`` fresh blocks, or none at all.

        Returns:
            Their ids; ``None``, with nothing changed, when fewer are free.
        """
        if count > self._num_free:
            return None
        taken: list[int] = []
        for retention, free in zip(Retention, self._free, strict=True):
            while free and len(taken) < count:
                block_id, _ = free.popitem(last=False)
                if retention is not Retention.BLANK:
                    self._on_reuse(block_id)
                self._references[block_id] = 1
                taken.append(block_id)
        self._num_free -= count
        return taken

    def share(self, block_ids: Iterable[int]) -> None:
        """Add an owner to each block; a free one is free no longer."""
        for block_id in block_ids:
            if self._references[block_id] == 0:
                del self._free[self._filed[block_id]][block_id]
                self._num_free -= 1
            self._references[block_id] += 1

    def release(self, block_ids: Iterable[int]) -> None:
        """Take an owner off each block, in this order: the first released is reused first."""
        for block_id in block_ids:
            references = self._references[block_id]
            assert references > 0, f"block {block_id} is released but nobody holds it"
            self._references[block_id] = references - 1
            if references == 1:
                self._file(block_id)
                self._num_free += 1

    def refile(self, block_ids: Iterable[int]) -> None:
        """Put free blocks whose class has changed where they belong now, as the newest there."""
        for block_id in block_ids:
            if self._references[block_id] == 0:
                del self._free[self._filed[block_id]][block_id]
                self._file(block_id)

    def blank_all(self) -> None:
        """Give up the reusable content of every free block."""
        for retention in (Retention.CACHED, Retention.WARM, Retention.PINNED):
            block_ids = list(self._free[retention])
            for block_id in block_ids:
                self._on_reuse(block_id)
            self.refile(block_ids)

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless each block is either free once, in its class, or held."""
        for block_id, references in enumerate(self._references):
            places = [r for r in Retention if block_id in self._free[r]]
            assert references >= 0, f"block {block_id} has {references} owners"
            if references:
                assert not places, f"block {block_id} is held and free"
                continue
            expected = [self._class_of(block_id)]
            assert places == expected, f"free block {block_id} is in {places}, not {expected}"
            assert self._filed[block_id] == places[0], f"free block {block_id} is filed wrongly"
        assert self._num_free == sum(map(len, self._free)), "free blocks are miscounted"

    def _file(self, block_id: int) -> None:
        retention = self._class_of(block_id)
        self._filed[block_id] = retention
        self._free[retention][block_id] = None
