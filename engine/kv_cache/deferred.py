"""Blocks whose owner has left while a step in flight may still write to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator


class DeferredReleases:
    """Block tables that keep their references until a step has ended; first in, first out."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, list[int]]] = deque()
        self._num_blocks = 0

    @property
    def num_blocks(self) -> int:
        """References that are held back; a block shared by two who left counts twice."""
        return self._num_blocks

    def add(self, step: int, block_ids: list[int]) -> None:
        """Hold blocks back until a step has ended.

        Args:
            step: Not before the step of the last call.
            block_ids: In the order in which they are to be released.
        """
        assert not self._queue or self._queue[-1][0] <= step, "steps run backwards"
        self._queue.append((step, block_ids))
        self._num_blocks += len(block_ids)

    def take_due(self, step: int) -> Iterator[list[int]]:
        """Yield what was held back until this step or an earlier one, and drop it from here."""
        while self._queue and self._queue[0][0] <= step:
            _, block_ids = self._queue.popleft()
            self._num_blocks -= len(block_ids)
            yield block_ids

    def block_ids(self) -> Iterator[int]:
        """Yield each reference that is held back."""
        for _, block_ids in self._queue:
            yield from block_ids

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless the count is right."""
        assert self._num_blocks == sum(1 for _ in self.block_ids()), "miscounted"
