"""A few threads for compiling, apart from the one that steps."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_STACK_BYTES = 64 * 2**20
"""Address space, not memory: deep grammars recurse natively, and running out ends the process."""


class CompileThreads:
    """Runs jobs in the order they come; threads start with the first job and end with the process.

    Args:
        num_threads: How many jobs run at once.
    """

    def __init__(self, num_threads: int = 2) -> None:
        self._num_threads = num_threads
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def __call__(self, job: Callable[[], None]) -> None:
        """Run a job, which must not raise, some time soon."""
        self._jobs.put(job)
        if len(self._threads) < self._num_threads:
            self._start()

    def _start(self) -> None:
        name = f"kaiwa-grammar-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        before = threading.stack_size(_STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
        self._threads.append(thread)

    def _work(self) -> None:
        while True:
            self._jobs.get()()
