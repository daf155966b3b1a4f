"""Keeps what was worked out before, the latest asked for, up to a sum of costs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by key; may be asked from any thread.

    Args:
        max_cost: Of all values together; a value that costs more by itself is not kept.
    """

    def __init__(self, max_cost: int) -> None:
        self._max_cost = max_cost
        self._cost = 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Look a value up; ``None`` where it is not kept."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Key, value: Value, cost: int) -> None:
        """Keep a value; those that were not asked for lately go."""
        with self._lock:
            if key in self._values:
                self._cost -= self._values.pop(key)[1]
            if cost > self._max_cost:
                return
            self._values[key] = (value, cost)
            self._cost += cost
            while self._cost > self._max_cost:
                self._cost -= self._values.popitem(last=False)[1][1]
