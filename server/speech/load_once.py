"""Something large that is loaded when it is first needed, once, whichever thread comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LoadOnce(Generic[T]):
    """A value that its first user waits for; so do those who come meanwhile."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._values: list[T] = []

    def get(self) -> T:
        """Return it, loaded if it was not yet."""
        if not self._values:
            with self._lock:
                if not self._values:
                    self._values.append(self._load())
        return self._values[0]
