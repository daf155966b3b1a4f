"""What waits to be written, as the event loop sees it: bounded, in order, each with its future."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from server.conversation.changes import ItemGone, ItemKept, NoteKept, SummaryKept
from server.errors import ConversationGone, ConversationTaken, StoreFailed, StoreUnavailable
from server.store.attempts import Poisoned
from server.store.interface import Write
from server.store.writing import Job, Outcome

MAX_JOBS = 8192
"""Writes that may wait; more fail at once."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""What they may hold together, about; a write that finds nobody waiting is taken at any size."""
MAX_BATCH = 256
"""Jobs that are taken at once."""

_FULL = "too much waits to be written"
_CLOSED = "the server stops"
_LOST = {"taken": ConversationTaken, "gone": ConversationGone}


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A job that was handed over.

    Attributes:
        job: What to do.
        future: Done when that is safe; its result counts conversations that were found.
        num_bytes: What it holds, about.
    """

    job: Job
    future: asyncio.Future[Any]
    num_bytes: int


class WriteQueue:
    """Belongs to the event loop, but for ``take``, which whoever writes may call from anywhere.

    What comes when it is full, or closed, fails at once; so does what the same writer hands over
    for the same conversation afterwards.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Start empty.

        Args:
            wake: Called when there is something to take.
        """
        self._wake = wake
        self._jobs: deque[Waiting] = deque()
        self._num_jobs = 0
        self._num_bytes = 0
        self._last: asyncio.Future[Any] | None = None
        self._refused = Poisoned()
        self._is_closed = False

    def __len__(self) -> int:
        return self._num_jobs

    def put(self, job: Job) -> asyncio.Future[Any]:
        """Hand something over; never waits."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look)
        num_bytes = _size(job)
        is_full = self._num_jobs >= MAX_JOBS or (
            self._num_jobs > 0 and self._num_bytes + num_bytes > MAX_WAITING_BYTES
        )
        why = _CLOSED if self._is_closed else self._refused.why(job) or (_FULL if is_full else None)
        if why is not None:
            self._refused.add(job, why)
            future.set_exception(_error(job, why))
            return future
        self._num_jobs += 1
        self._num_bytes += num_bytes
        self._last = future
        self._jobs.append(Waiting(job, future, num_bytes))
        self._wake()
        return future

    def take(self) -> list[Waiting]:
        """Take what has waited longest; from any one thread."""
        taken: list[Waiting] = []
        while len(taken) < MAX_BATCH:
            try:
                taken.append(self._jobs.popleft())
            except IndexError:
                break
        return taken

    def settle(self, taken: Iterable[Waiting], outcomes: Iterable[Outcome]) -> None:
        """Tell those who wait what became of what was taken."""
        for waiting, outcome in zip(taken, outcomes, strict=True):
            self._num_jobs -= 1
            self._num_bytes -= waiting.num_bytes
            if waiting.future.done():  # whoever asked has left
                continue
            if outcome.lost is not None:
                waiting.future.set_exception(_LOST[outcome.lost]())
            elif outcome.why is None:
                waiting.future.set_result(outcome.num_found)
            else:
                waiting.future.set_exception(_error(waiting.job, outcome.why))

    async def wait(self) -> None:
        """Wait until everything that was handed over so far is written, or cannot be."""
        last = self._last
        if last is not None and not last.done():
            await asyncio.wait([last])

    def close(self) -> None:
        """Take nothing any more."""
        self._is_closed = True

    def give_up(self) -> None:
        """Fail whatever nobody has taken."""
        taken = list(self._jobs)
        self._jobs.clear()
        self.settle(taken, [Outcome(why=_CLOSED)] * len(taken))


def _error(job: Job, why: str) -> Exception:
    return StoreFailed(why) if isinstance(job, Write) else StoreUnavailable(why)


def _look(future: asyncio.Future[Any]) -> None:
    """Nobody has to wait for a write, and that is no mistake to be logged."""
    if not future.cancelled():
        future.exception()


def _size(job: Job) -> int:
    if not isinstance(job, Write):
        return 0
    size = 0
    for change in job.changes:
        match change:
            case ItemKept(entry):
                size += 2 * entry.num_bytes  # an assistant's words are kept twice
            case SummaryKept(text) | NoteKept(text):
                size += len(text)
            case ItemGone():
                pass
    return size
