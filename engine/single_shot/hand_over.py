"""Jobs that coroutines hand to threads, and errors that threads hand to coroutines."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")
Handed = TypeVar("Handed")
Job = Callable[[], "list[Job] | None"]
"""What is done when no lock is held any more; returns what is to be done after it."""


def begin(run_later: Callable[[Callable[[], Answer]], Handed], job: Callable[[], Answer]) -> Handed:
    """Hand a job over; when that raises, the job never runs.

    An executor that can start no thread raises, keeps the job all the same, and would run it later
    beside whatever was done instead.
    """
    is_off = False

    def guarded() -> Answer:
        if is_off:
            raise RuntimeError("the job was given up when it could not begin")
        return job()

    try:
        return run_later(guarded)
    except BaseException:
        is_off = True
        raise


def raisable(error: BaseException, what: str) -> BaseException:
    """Return an error as it may be raised in a coroutine.

    A future refuses `StopIteration`, so that its waiter would wait for ever, and what should end a
    thread should not end the loop.

    Args:
        error: What was raised.
        what: By whom, for the message.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"{what} raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped


def waking(future: asyncio.Future[None]) -> Callable[[], None]:
    """Return what resolves a future from any thread, or does nothing when nobody waits there."""
    loop = future.get_loop()

    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
            loop.call_soon_threadsafe(resolve)

    return wake


def run_all(jobs: list[Job]) -> None:
    """Do jobs, and what they return, one after the other: a long chain takes no deep stack."""
    left = deque(jobs)
    while left:
        left.extend(left.popleft()() or ())
