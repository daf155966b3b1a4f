"""Keeps conversations in a file of SQLite's: one thread writes, two read, the loop never waits.

::

    append ─► WriteQueue ─► writer thread: all that waits in one transaction ─► COMMIT ─► futures
    load, list ─► what was handed over is written ─► reader threads, each with its connection

The writer takes all that waits into one transaction; while the disk makes that safe, the next one
gathers. In write-ahead-log mode readers see the last commit and hold nobody up. With
``durability = "full"`` a commit is on the disk when it is acknowledged and survives the machine;
with ``"normal"`` it survives any process, but a power cut may take the last ones
(https://sqlite.org/pragma.html#pragma_synchronous).

What is erased is overwritten in the file (``secure_delete``), and the log that may still hold it is
emptied with it, as soon as nobody reads from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server.errors import StoreUnavailable
from server.store.ask import Plan, Result
from server.store.attempts import Told, TransactionFailed, attempt
from server.store.queued_store import CLOSE_TIMEOUT_S, QueuedStore
from server.store.sqlite_file import (
    BUSY_TIMEOUT_S,
    MAX_WAL_BYTES,
    Durability,
    open_for_reading,
    open_for_writing,
    run_plan,
    words_of,
)
from server.store.sqlite_log import RETRY_S, WriteAheadLog
from server.store.write_queue import Waiting
from server.store.writing import Erase, Job, Outcome, perform

logger = logging.getLogger(__name__)

NUM_READERS = 2
READ_TIMEOUT_S = 10.0
"""A read that takes longer is given up; so nobody of ours keeps the log from being emptied."""
_FOR_ALL = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_NOTADB")
"""What is nobody's fault: other writes would fail the same way now."""


class SqliteStore(QueuedStore):
    """A ``ConversationStore`` that outlives the process."""

    def __init__(
        self,
        file: Path,
        *,
        max_conversations: int,
        max_bytes: int,
        durability: Durability = "full",
        max_wal_bytes: int = MAX_WAL_BYTES,
    ) -> None:
        """Touch nothing yet.

        Args:
            file: Made where there is none.
            max_conversations: Of one principal.
            max_bytes: Of all together, about.
            durability: What an acknowledged write survives; see the module.
            max_wal_bytes: Size of the log from which on writes fail.
        """
        self._is_awake = threading.Event()
        super().__init__(
            self._is_awake.set, max_conversations=max_conversations, max_bytes=max_bytes
        )
        self._file = file
        self._durability = durability
        self._max_wal_bytes = max_wal_bytes
        self._is_closing = threading.Event()
        self._readers = ThreadPoolExecutor(NUM_READERS, thread_name_prefix="store-reader")
        self._own = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._writer: threading.Thread | None = None

    async def start(self) -> None:
        """Open the file, and begin to write.

        Raises:
            ConfigError: It cannot be used.
        """
        loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(open_for_writing, self._file, self._durability)
        self._writer = threading.Thread(
            target=self._write, args=(connection, loop), name="store-writer", daemon=True
        )
        self._writer.start()

    async def aclose(self) -> None:
        """Write what waits, for ``CLOSE_TIMEOUT_S`` at most, and fail the rest."""
        self._queue.close()
        self._is_closing.set()
        self._is_awake.set()
        if self._writer is not None:
            await asyncio.to_thread(self._writer.join, CLOSE_TIMEOUT_S)
            if self._writer.is_alive():
                logger.error("the store was left with %d writes that wait", len(self._queue))
        self._queue.give_up()
        for connection in self._open:
            connection.interrupt()
        await asyncio.to_thread(self._readers.shutdown, cancel_futures=True)
        for connection in self._open:
            connection.close()
        self._open.clear()

    async def _read(self, plan: Callable[[], Plan[Result]]) -> Result:
        await self._queue.wait()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, self._run_reading, plan)
        except RuntimeError:  # of the pool, when it takes nothing any more
            raise StoreUnavailable("the server stops") from None

    def _run_reading(self, plan: Callable[[], Plan[Result]]) -> Result:
        """Read at one moment; in a reader's thread."""
        try:
            connection = self._reading_connection()
            deadline = time.monotonic() + READ_TIMEOUT_S
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            connection.execute("BEGIN")
            try:
                return run_plan(connection, plan())
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreUnavailable(words_of(error)) from None

    def _reading_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = open_for_reading(self._file)
            self._open.append(connection)
        return connection

    def _write(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Write until told to stop and nothing waits; the writer's thread."""
        log = WriteAheadLog(
            self._file,
            connection,
            max_bytes=self._max_wal_bytes,
            busy_timeout_s=BUSY_TIMEOUT_S,
        )
        with contextlib.closing(connection):
            log.empty()
            while True:
                self._is_awake.wait(RETRY_S if log.holds_erased else None)
                self._is_awake.clear()
                if log.holds_erased:
                    log.empty()
                while taken := self._queue.take():
                    outcomes = self._perform(connection, log, [waiting.job for waiting in taken])
                    self._settle(loop, taken, outcomes)
                if self._is_closing.is_set():
                    log.empty()
                    return

    def _settle(
        self, loop: asyncio.AbstractEventLoop, taken: Sequence[Waiting], outcomes: Sequence[Outcome]
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(self._queue.settle, taken, outcomes)

    def _perform(
        self, connection: sqlite3.Connection, log: WriteAheadLog, jobs: Sequence[Job]
    ) -> Sequence[Outcome]:
        steps = attempt(jobs, self._poisoned)
        try:
            group = next(steps)
            while True:
                told: Told
                try:
                    log.bound()
                    told = self._transact(connection, group)
                    if isinstance(group[0], Erase):
                        log.empty(of_erased=True)
                    self._trouble.worked()
                except TransactionFailed as failed:
                    self._ledger.clear()
                    self._trouble.failed(failed.why)
                    told = failed
                group = steps.send(told)
        except StopIteration as stop:
            outcomes: Sequence[Outcome] = stop.value
            return outcomes

    def _transact(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """Do jobs in one transaction; returns what each came to.

        Raises:
            TransactionFailed: Nothing of them is kept.
        """
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = run_plan(connection, perform(self._ledger, jobs))
            connection.execute("COMMIT")
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            name = getattr(error, "sqlite_errorname", "") or ""
            if not name:
                logger.exception("the store failed")
            is_for_all = name.startswith(_FOR_ALL)
            raise TransactionFailed(words_of(error), is_for_all=is_for_all) from None
        return results
