"""Jobs that run when a test says so, instead of in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Jobs:
    """Keeps what is to run later."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()

    def __call__(self, job: Callable[[], None]) -> None:
        self.waiting.append(job)

    def run(self) -> None:
        """Run all that wait, in order."""
        while self.waiting:
            self.waiting.popleft()()
