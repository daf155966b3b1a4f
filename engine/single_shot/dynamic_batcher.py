"""Requests that come one by one, computed together: dynamic batching for single-shot models.

For replies of many tokens the engine's continuous batching is the better way: here everybody waits
for the slowest of the batch (docs/benchmarks/schemes.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import Closed
from engine.single_shot.batch_queue import BatchQueue
from engine.single_shot.halves import Failed, Outcome, run_by_halves
from engine.single_shot.hand_over import begin, raisable

Item = TypeVar("Item")
Result = TypeVar("Result")
RunLater = Callable[[Callable[[], None]], object]


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Result]
    is_wanted: bool = True


class DynamicBatcher(Generic[Item, Result]):
    """Collects items and runs one function on them, a batch at a time, in a thread.

    A batch begins when it is full or when its first item has waited ``max_wait_s``; what comes
    while one runs is in the next. An item that makes the function raise gets that error alone: see
    `run_by_halves`. All calls belong on one event loop.

    Args:
        run_batch: Returns one result per item, in order.
        max_batch_size: Items in a batch at most.
        max_wait_s: How long the first item of a batch waits for others.
        max_waiting: Items that may wait for a batch; further ones are refused with ``queue_full``.
        run_later: Runs a batch; a thread of the batcher's own if left out.

    Raises:
        ConfigError: A bound is too small.
    """

    def __init__(
        self,
        run_batch: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        max_batch_size: int,
        max_wait_s: float,
        max_waiting: int = 256,
        run_later: RunLater | None = None,
    ) -> None:
        self._run_batch = run_batch
        self._queue = BatchQueue(max_batch_size, max_wait_s, max_waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kaiwa-batch")
        self._run_later: RunLater = run_later or self._thread.submit
        self._items: dict[int, _Waiting[Item, Result]] = {}
        self._next_number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._on_idle: list[asyncio.Future[None]] = []

    @property
    def num_waiting(self) -> int:
        """Items in no batch yet."""
        return self._queue.num_waiting

    async def submit(self, item: Item) -> Result:
        """Return an item's result.

        Whoever is cancelled leaves: an item that is in no batch yet is never computed, and the
        result of one that is being computed is dropped.

        Raises:
            QueueFull: Too many items wait.
            Closed: The batcher is closed, or was before the item's batch began.
            BaseException: What the function raised for this item.
        """
        loop = asyncio.get_running_loop()
        number, self._next_number = self._next_number, self._next_number + 1
        self._queue.put(number, loop.time())
        waiting = _Waiting[Item, Result](item, loop.create_future())
        self._items[number] = waiting
        self._begin_or_wait(loop)
        try:
            return await waiting.future
        finally:
            waiting.is_wanted = False
            if self._queue.remove(number):
                self._begin_or_wait(loop)
            if number not in self._queue.running:
                self._items.pop(number, None)

    async def aclose(self) -> None:
        """End what waits with `Closed`, and return when the batch that runs has ended."""
        for number in self._queue.close():
            future = self._items.pop(number).future
            if not future.done():
                future.set_exception(Closed("batcher"))
        loop = asyncio.get_running_loop()
        self._begin_or_wait(loop)
        if self._queue.running:
            idle: asyncio.Future[None] = loop.create_future()
            self._on_idle.append(idle)
            await idle
        self._thread.shutdown(wait=False)

    def check_integrity(self) -> None:
        """Prove that each item is waiting or running, and that what waits will begin.

        Raises:
            AssertionError: Something is lost; the message says what.
        """
        self._queue.check_integrity()
        assert len(self._items) == self._queue.num_waiting + len(self._queue.running), (
            f"{len(self._items)} items, {self._queue.num_waiting} wait, "
            f"{len(self._queue.running)} run"
        )
        is_due = self._queue.num_waiting > 0 and not self._queue.running
        assert is_due == (self._timer is not None), "the timer does not fit what waits"

    def _begin_or_wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the batch that is due, or set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch = self._queue.take(loop.time())
        if batch:
            self._begin(batch, loop)
            return
        due = self._queue.due_at(loop.time())
        if due is not None:
            self._timer = loop.call_at(due, self._begin_or_wait, loop)

    def _begin(self, batch: tuple[int, ...], loop: asyncio.AbstractEventLoop) -> None:
        waiting = [self._items[number] for number in batch]
        items = [one.item for one in waiting]

        def job() -> None:
            outcomes = run_by_halves(self._run_batch, items, lambda n: waiting[n].is_wanted)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
                loop.call_soon_threadsafe(self._finish, waiting, outcomes, loop)

        try:
            begin(self._run_later, job)
        except BaseException as error:  # no thread can be started: the batch ends with that
            failed: list[Outcome[Result] | None] = [Failed(error) for _ in batch]
            loop.call_soon(self._finish, waiting, failed, loop)

    def _finish(
        self,
        waiting: list[_Waiting[Item, Result]],
        outcomes: list[Outcome[Result] | None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        for number in self._queue.running:
            del self._items[number]
        self._queue.finish()
        for one, outcome in zip(waiting, outcomes, strict=True):
            if one.future.done() or outcome is None:
                continue  # cancelled: the result is dropped
            if isinstance(outcome, Failed):
                one.future.set_exception(raisable(outcome.error, "the batch function"))
            else:
                one.future.set_result(outcome.result)
        self._begin_or_wait(loop)
        if not self._queue.running:
            for idle in self._on_idle:
                if not idle.done():
                    idle.set_result(None)
            self._on_idle.clear()
