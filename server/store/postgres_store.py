"""Keeps conversations in a PostgreSQL that several servers may share.

It is ``SqliteStore`` with a database elsewhere: one task writes all that waits in one transaction,
over a connection of its own; a small pool reads. Where the database goes away, writes wait for it,
for ``WRITE_PATIENCE_S`` at most, and so do reads, for less. A transaction whose end nobody heard of
is done again: each of its parts comes to the same when it is done twice.

Acknowledged means that the database has committed, under its own ``synchronous_commit``. What is
erased the database overwrites when it next vacuums.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import asyncpg

from engine.errors import ConfigError
from server.errors import ConversationNotFound, StoreUnavailable
from server.store.ask import Plan, Result, Row
from server.store.attempts import Told, TransactionFailed, attempt
from server.store.postgres_database import (
    connect,
    is_lost,
    is_worth_another_try,
    migrate,
    open_pool,
    words_of,
)
from server.store.queued_store import CLOSE_TIMEOUT_S, QueuedStore
from server.store.writing import Job, Outcome, perform

logger = logging.getLogger(__name__)

WRITE_PATIENCE_S = 20.0
"""How long writes wait for a database that is gone."""
READ_PATIENCE_S = 5.0
"""How long reads do."""
_PAUSES_S = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Between tries; the last one again and again."""

_Told = TypeVar("_Told")


class PostgresStore(QueuedStore):
    """A ``ConversationStore`` that outlives the process, and the machine."""

    def __init__(
        self,
        dsn_file: Path | None,
        *,
        max_conversations: int,
        max_bytes: int,
        write_patience_s: float = WRITE_PATIENCE_S,
        read_patience_s: float = READ_PATIENCE_S,
    ) -> None:
        """Connect to nothing yet.

        Args:
            dsn_file: Holds the address as ``postgresql://USER:PASSWORD@HOST/DATABASE``; ``None``
                leaves it to the variables that PostgreSQL's own programs know, ``PGHOST`` and so
                on.
            max_conversations: Of one principal.
            max_bytes: Of all together, about.
            write_patience_s: How long writes wait for a database that is gone.
            read_patience_s: How long reads do.
        """
        self._is_awake = asyncio.Event()
        super().__init__(
            self._is_awake.set, max_conversations=max_conversations, max_bytes=max_bytes
        )
        self._dsn_file = dsn_file
        self._write_patience_s = write_patience_s
        self._read_patience_s = read_patience_s
        self._is_closing = False
        self._connection: asyncpg.Connection | None = None
        self._pool: asyncpg.Pool | None = None
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, bring the tables up to date, and begin to write.

        Raises:
            ConfigError: The database cannot be reached or used.
        """
        self._connection = await connect(self._dsn_file)
        try:
            await migrate(self._connection)
            self._pool = await open_pool(self._dsn_file)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            await self._drop_connection()
            raise ConfigError(
                f"conversations cannot be kept in PostgreSQL: {words_of(error)}; "
                "look at history.dsn_file and the database's own log",
                param="history.dsn_file",
            ) from None
        except BaseException:
            await self._drop_connection()
            raise
        self._writer = asyncio.create_task(self._write(), name="store-writer")

    async def aclose(self) -> None:
        """Write what waits, for ``CLOSE_TIMEOUT_S`` at most, and fail the rest."""
        self._queue.close()
        self._is_closing = True
        self._is_awake.set()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=CLOSE_TIMEOUT_S)
            if not self._writer.done():
                logger.error("the store was left with %d writes that wait", len(self._queue))
                self._writer.cancel()
                await asyncio.wait([self._writer])
        self._queue.give_up()
        await self._drop_connection()
        if self._pool is not None:
            self._pool.terminate()

    async def _read(self, plan: Callable[[], Plan[Result]]) -> Result:
        await self._queue.wait()

        async def read() -> Result:
            if self._pool is None or self._is_closing:
                raise StoreUnavailable("the server starts or stops")
            async with (
                self._pool.acquire(timeout=self._read_patience_s) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                return await _run_plan(connection, plan())

        try:
            return await self._patiently(read, self._read_patience_s)
        except TransactionFailed as failed:
            raise StoreUnavailable(failed.why) from None

    async def _write(self) -> None:
        """Write until told to stop and nothing waits."""
        while True:
            await self._is_awake.wait()
            self._is_awake.clear()
            while taken := self._queue.take():
                outcomes: Sequence[Outcome] = [Outcome(why="the server stops")] * len(taken)
                try:
                    outcomes = await self._perform([waiting.job for waiting in taken])
                finally:
                    self._queue.settle(taken, outcomes)
            if self._is_closing:
                return

    async def _perform(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        steps = attempt(jobs, self._poisoned)
        try:
            group = next(steps)
            while True:
                told: Told
                try:
                    told = await self._transact(group)
                    self._trouble.worked()
                except TransactionFailed as failed:
                    self._trouble.failed(failed.why)
                    told = failed
                group = steps.send(told)
        except StopIteration as stop:
            outcomes: Sequence[Outcome] = stop.value
            return outcomes

    async def _transact(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """Do jobs in one transaction; returns what each came to.

        Raises:
            TransactionFailed: Nothing of them is kept.
        """

        async def write() -> Sequence[Outcome]:
            if self._connection is None or self._connection.is_closed():
                await self._drop_connection()
                self._connection = await connect(self._dsn_file)
            async with self._connection.transaction():
                return await _run_plan(self._connection, perform(self._ledger, jobs))

        return await self._patiently(write, self._write_patience_s)

    async def _patiently(self, what: Callable[[], Awaitable[_Told]], patience_s: float) -> _Told:
        """Do something again until the database is there, for so long.

        Raises:
            TransactionFailed: It does not come to be, or does not want to.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        num_tries = 0
        while True:
            try:
                return await what()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ConfigError) as error:
                self._ledger.clear()
                is_gone = isinstance(error, ConfigError) or is_lost(error)
                if not is_gone and not is_worth_another_try(error):
                    raise TransactionFailed(words_of(error)) from None
                pause_s = _PAUSES_S[min(num_tries, len(_PAUSES_S) - 1)]
                if loop.time() + pause_s > deadline:
                    raise TransactionFailed(words_of(error), is_for_all=True) from None
            except (ConversationNotFound, StoreUnavailable):
                raise
            except Exception as error:
                self._ledger.clear()
                logger.exception("the store failed")
                raise TransactionFailed(words_of(error)) from None
            num_tries += 1
            await asyncio.sleep(pause_s)

    async def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def _run_plan(connection: asyncpg.Connection, plan: Plan[Result]) -> Result:
    """Ask what a plan wants to know, within a transaction of the caller's."""
    rows: Sequence[Row]
    try:
        ask = next(plan)
        while True:
            rows = await connection.fetchmany(ask.sql, ask.params)
            ask = plan.send([tuple(row) for row in rows])
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        plan.close()
