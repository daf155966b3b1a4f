"""Load from processes of its own: told what to do, heard of, and asked for what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from server.open_files import raise_limit

S = TypeVar("S")
R = TypeVar("R")

_FILES = 16_000


class Line:
    """A worker's line to whoever sent it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def hear(self) -> str:
        """Wait for the next word."""
        word = await asyncio.to_thread(self._pipe.recv)
        assert isinstance(word, str)
        return word

    def ready(self, value: Any = None) -> None:
        """Say that the next word can come."""
        self._pipe.send(("ready", value))

    def report(self, news: Any) -> None:
        """Tell how it goes."""
        self._pipe.send(("news", news))


Work = Callable[[S, Line], Awaitable[R]]


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection


class Crew(Generic[S, R]):
    """Processes that share a load."""

    def __init__(self, workers: Sequence[_Worker]) -> None:
        self._workers = workers

    def tell(self, word: str) -> None:
        """Say a word to everybody."""
        for worker in self._workers:
            worker.pipe.send(word)

    def ready(self, on_news: Callable[[Any], None] = lambda _: None) -> list[Any]:
        """Wait until everybody is ready; returns what each says of it."""
        return self._gather("ready", on_news)

    def results(self, on_news: Callable[[Any], None] = lambda _: None) -> list[R]:
        """Wait for what comes of it; reports are passed on meanwhile."""
        return self._gather("result", on_news)

    def _gather(self, wanted: str, on_news: Callable[[Any], None]) -> list[Any]:
        found: dict[Any, Any] = {}
        while len(found) < len(self._workers):
            for pipe in wait([one.pipe for one in self._workers if one.pipe not in found]):
                kind, value = self._read(pipe)
                if kind == "news":
                    on_news(value)
                else:
                    assert kind == wanted, (kind, wanted)
                    found[pipe] = value
        return [found[worker.pipe] for worker in self._workers]

    def _read(self, pipe: Any) -> tuple[str, Any]:
        try:
            kind, value = pipe.recv()
        except EOFError:
            raise SystemExit("a load process ended early") from None
        if kind == "failed":
            raise SystemExit(f"a load process failed:\n{value}")
        return kind, value


@contextlib.contextmanager
def crew(work: Work[S, R], shares: Sequence[S]) -> Iterator[Crew[S, R]]:
    """Start a process for each share of the load; all are ended with the block.

    Args:
        work: A coroutine function at the top of a module: a share and a line in, what came of it
            out.
        shares: One for each process.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        for share in shares:
            near, far = context.Pipe()
            process = context.Process(target=_run, args=(work, share, far), daemon=True)
            process.start()
            far.close()
            workers.append(_Worker(process, near))
        yield Crew(workers)
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.process.join()


def _run(work: Work[S, R], share: S, pipe: Connection) -> None:
    raise_limit(_FILES)

    async def main() -> R:
        return await work(share, Line(pipe))

    try:
        pipe.send(("result", asyncio.run(main())))
    except BaseException:
        pipe.send(("failed", traceback.format_exc()))
    pipe.close()
    os._exit(0)  # threads that wait for a word would keep it


def split(items: Sequence[S], num_parts: int) -> list[list[S]]:
    """Deal items out evenly; no part is empty."""
    parts = [list(items[place::num_parts]) for place in range(num_parts)]
    return [part for part in parts if part]
