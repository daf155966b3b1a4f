"""What waits to be written: from the event loop to a thread, bounded, and never waited for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """A queue that is emptied all at once."""

    def __init__(self, *, max_items: int, max_chars: int) -> None:
        """Start empty.

        Args:
            max_items: That may wait.
            max_chars: Of text that they may hold together.
        """
        self._max_items = max_items
        self._max_chars = max_chars
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._items: list[T] = []
        self._num_chars = 0

    def offer(self, item: T, num_chars: int = 0, *, anyhow: bool = False) -> bool:
        """Put an item behind the others; says whether there was room for it.

        Args:
            item: Anything.
            num_chars: Of text that it holds.
            anyhow: Take it even so; for what comes once per session.
        """
        with self._lock:
            has_room = (
                len(self._items) < self._max_items
                and self._num_chars + num_chars <= self._max_chars
            )
            if not has_room and not anyhow:
                return False
            self._items.append(item)
            self._num_chars += num_chars
        if not self._filled.is_set():
            self._filled.set()
        return True

    def wake(self) -> None:
        """Have ``wait`` return although nothing may wait."""
        self._filled.set()

    def wait(self) -> None:
        """Return when something waits."""
        self._filled.wait()

    def take(self) -> Sequence[T]:
        """Take all that waits, in order."""
        with self._lock:
            items, self._items, self._num_chars = self._items, [], 0
            self._filled.clear()
        return items
