"""A bounded pool of instances of one model, for models that a thread must have to itself.

One instance in eval mode whose forward changes nothing may be shared by threads, and needs no pool;
``kaiwa doctor --model`` tells which kind a model is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from engine.errors import Closed, EngineError, WaitTimedOut
from engine.single_shot.hand_over import Job, begin, raisable, run_all, waking
from engine.single_shot.lease import Lease, Waiter, not_made
from engine.single_shot.pool_ledger import Effect, Grant, InstanceState, Make, PoolLedger

logger = logging.getLogger(__name__)

Model = TypeVar("Model")
Answer = TypeVar("Answer")
RunLater = Callable[[Callable[[], None]], object]


class ModelPool(Generic[Model]):
    """Lends instances, each to one holder at a time, to coroutines and threads alike.

    Instances are made when they are needed, one at a time, since loading takes more memory than the
    model does. Who waits is served in order.

    Args:
        factory: Makes an instance; called in a thread of the pool's own.
        max_instances: How many there may be.
        max_waiting: How many may wait beyond those that an instance is being made for; further ones
            are refused with ``queue_full``.
        dispose: Called with each instance that is given up, in whatever thread that happens.
        run_later: Runs a job that makes an instance; a thread of the pool's own if left out.

    Raises:
        ConfigError: A bound is too small.
    """

    def __init__(
        self,
        factory: Callable[[], Model],
        *,
        max_instances: int,
        max_waiting: int = 64,
        dispose: Callable[[Model], object] | None = None,
        run_later: RunLater | None = None,
    ) -> None:
        self._ledger = PoolLedger(max_instances, max_waiting)
        self._factory = factory
        self._dispose = dispose
        self._lock = threading.Lock()
        self._waiters: dict[int, Waiter] = {}
        self._instances: dict[int, Model] = {}
        self._next_waiter = 0
        self._drained: list[Callable[[], None]] = []
        # Threads start with their first job.
        self._makers = ThreadPoolExecutor(1, thread_name_prefix="kaiwa-make-model")
        self._callers = ThreadPoolExecutor(max_instances, thread_name_prefix="kaiwa-model")
        self._run_later: RunLater = run_later or self._makers.submit

    @property
    def num_instances(self) -> int:
        """Instances that exist."""
        return len(self._instances)

    @property
    def num_waiting(self) -> int:
        """Who waits for one."""
        return self._ledger.num_waiting

    @contextlib.asynccontextmanager
    async def checkout(self, timeout_s: float | None = None) -> AsyncIterator[Lease[Model]]:
        """Lend an instance to a coroutine; leaving the block gives it back.

        Whoever computes in a thread should use ``run``: a coroutine that is cancelled leaves the
        block at once, while its thread goes on using the instance.

        Args:
            timeout_s: How long to wait; for ever if left out.

        Raises:
            QueueFull: Too many wait already.
            WaitTimedOut: None came free in time.
            Closed: The pool is closed, or was while this waited.
            ModelError: The factory failed.
        """
        lease = await self._acquire(timeout_s)
        try:
            yield lease
        finally:
            self._release(lease)

    @contextlib.contextmanager
    def checkout_blocking(self, timeout_s: float | None = None) -> Iterator[Lease[Model]]:
        """Lend an instance to a thread, as ``checkout`` does to a coroutine; not on a loop."""
        event = threading.Event()
        waiter = self._ask(event.set)
        try:
            event.wait(timeout_s)
        except BaseException:  # Ctrl-C reaches the main thread while it waits
            self._abandon(waiter)
            raise
        lease = self._lease_of(waiter, timeout_s)
        try:
            yield lease
        finally:
            self._release(lease)

    async def run(
        self,
        call: Callable[[Model], Answer],
        *,
        timeout_s: float | None = None,
        discard_on: tuple[type[BaseException], ...] = (),
    ) -> Answer:
        """Call a function with an instance, in a thread.

        The instance comes back when the function has returned, also when nobody awaits it any more:
        a thread cannot be called off.

        Args:
            call: The function.
            timeout_s: How long to wait for an instance; for ever if left out.
            discard_on: Errors of the function after which the instance is of no use.

        Raises:
            EngineError: As ``checkout``; beside it whatever the function raises.
        """
        lease = await self._acquire(timeout_s)

        def job() -> Answer:
            try:
                return call(lease.instance)
            except BaseException as error:
                if isinstance(error, discard_on):
                    lease.discard()
                told = raisable(error, "a call with an instance")
                if told is error:
                    raise
                raise told from error

        try:
            future = begin(self._callers.submit, job)
        except BaseException:
            self._release(lease)
            raise
        future.add_done_callback(lambda _: self._release(lease))
        return await asyncio.wrap_future(future)

    async def aclose(self) -> None:
        """Refuse everybody, end every wait with `Closed`, and return when all have come back."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._close(waking(future))
        await future

    def close(self) -> None:
        """Do what ``aclose`` does, for threads."""
        event = threading.Event()
        self._close(event.set)
        event.wait()

    def check_integrity(self) -> None:
        """Prove that no instance is lost and that nobody waits without being in the book.

        Raises:
            AssertionError: Something is; the message says what.
        """
        with self._lock:
            self._ledger.check_integrity()
            states = (InstanceState.IDLE, InstanceState.LEASED)
            booked = sum(map(self._ledger.count, states))
            assert self._ledger.is_drained or booked == len(self._instances), (
                f"{len(self._instances)} instances, {booked} in the book"
            )
            waiting = [one for one in self._waiters.values() if not one.has_ended]
            assert len(waiting) == self._ledger.num_waiting, (
                f"{len(waiting)} wait, {self._ledger.num_waiting} are in line"
            )

    async def _acquire(self, timeout_s: float | None) -> Lease[Model]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = self._ask(waking(future))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            pass  # it may have come at the last moment
        except BaseException:
            self._abandon(waiter)
            raise
        return self._lease_of(waiter, timeout_s)

    def _ask(self, wake: Callable[[], None]) -> Waiter:
        with self._lock:
            waiter = Waiter(self._next_waiter, wake)
            effects = self._ledger.ask(waiter.number)
            self._next_waiter += 1
            self._waiters[waiter.number] = waiter
            jobs = self._perform(effects)
        run_all(jobs)
        return waiter

    def _lease_of(self, waiter: Waiter, timeout_s: float | None) -> Lease[Model]:
        with self._lock:
            del self._waiters[waiter.number]
            if waiter.instance is not None:
                return Lease(waiter.instance, self._instances[waiter.instance])
            self._ledger.leave(waiter.number)
        raise waiter.error or WaitTimedOut(timeout_s or 0.0, self._ledger.max_instances)

    def _abandon(self, waiter: Waiter) -> None:
        """Leave the line; what was granted while nobody looked goes to the next."""
        with self._lock:
            del self._waiters[waiter.number]
            self._ledger.leave(waiter.number)
            granted = waiter.instance
            jobs = [] if granted is None else self._perform(self._ledger.give_back(granted))
            jobs += self._when_drained()
        run_all(jobs)

    def _release(self, lease: Lease[Model]) -> None:
        with self._lock:
            if lease.is_spoilt:
                gone = self._instances.pop(lease.number)
                jobs: list[Job] = [lambda: self._give_up(gone)]
                jobs += self._perform(self._ledger.discard(lease.number))
            else:
                jobs = self._perform(self._ledger.give_back(lease.number))
            jobs += self._when_drained()
        run_all(jobs)

    def _make(self, number: int) -> None:
        try:
            instance = self._factory()
        except BaseException as error:  # whatever it is, a waiter hears of it and the thread lives
            jobs = self._not_made(number, error)
        else:
            with self._lock:
                self._instances[number] = instance
                jobs = self._perform(self._ledger.made(number))
                jobs += self._when_drained()
        run_all(jobs)

    def _not_made(self, number: int, error: BaseException) -> list[Job]:
        logger.warning("a model instance could not be made: %s", type(error).__name__)
        with self._lock:
            effects = self._ledger.make_failed(number)
            return self._perform(effects, partial(not_made, error)) + self._when_drained()

    def _close(self, on_drained: Callable[[], None]) -> None:
        with self._lock:
            self._drained.append(on_drained)
            jobs = self._perform(self._ledger.close())
            jobs += self._when_drained()
        run_all(jobs)

    def _perform(
        self, effects: list[Effect], error: Callable[[], EngineError] = lambda: Closed("pool")
    ) -> list[Job]:
        """Note what was decided; return what is to be done when the lock is free again."""
        jobs: list[Job] = []
        for effect in effects:
            if isinstance(effect, Make):
                jobs.append(self._making(effect.instance))
                continue
            waiter = self._waiters[effect.waiter]
            if isinstance(effect, Grant):
                waiter.instance = effect.instance
            else:
                waiter.error = error()
            jobs.append(waiter.wake)
        return jobs

    def _making(self, number: int) -> Job:
        def begin_making() -> list[Job] | None:
            try:
                begin(self._run_later, lambda: self._make(number))
            except BaseException as error:  # no thread can be started
                return self._not_made(number, error)
            return None

        return begin_making

    def _when_drained(self) -> list[Job]:
        """Give all instances up when the last has come back, and tell who closes."""
        if not self._ledger.is_drained:
            return []
        gone, self._instances = list(self._instances.values()), {}
        told, self._drained = self._drained, []
        self._makers.shutdown(wait=False)
        self._callers.shutdown(wait=False)
        return [*(lambda one=one: self._give_up(one) for one in gone), *told]

    def _give_up(self, instance: Model) -> None:
        if self._dispose is None:
            return
        try:
            self._dispose(instance)
        except Exception as error:  # it is gone either way, and others wait behind it
            logger.warning("a model instance could not be disposed of: %s", type(error).__name__)
