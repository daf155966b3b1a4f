"""Connects to PostgreSQL, brings its tables up to date, and says in words why it cannot."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg

from engine.errors import ConfigError
from server.store.schema import POSTGRES_MIGRATIONS

NUM_READERS = 4
CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 10.0
"""The database gives up a statement that takes longer."""
LOCK_TIMEOUT_S = 5.0
"""Or that waits longer for another server's."""
_MIGRATION_LOCK = 0x4B616977
"""One server at a time changes tables; the number is ``Kaiw``."""
_SETTINGS = {
    "application_name": "kaiwa",
    "statement_timeout": str(int(STATEMENT_TIMEOUT_S * 1000)),
    "lock_timeout": str(int(LOCK_TIMEOUT_S * 1000)),
    "idle_in_transaction_session_timeout": str(int(2 * STATEMENT_TIMEOUT_S * 1000)),
}

_LOST = (
    asyncpg.InterfaceError,  # the connection was closed while it was used
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.CannotConnectNowError,  # it is starting
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, until it is promoted
    OSError,  # TimeoutError is one
)
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (asyncpg.InvalidPasswordError, "it does not take the user and password"),
    (asyncpg.InvalidAuthorizationSpecificationError, "it does not let this user in"),
    (asyncpg.InvalidCatalogNameError, "there is no database of that name"),
    (asyncpg.InsufficientPrivilegeError, "the user may not do that"),
    (asyncpg.DiskFullError, "the disk is full"),
    (asyncpg.ReadOnlySQLTransactionError, "the database may not be written"),
    (asyncpg.QueryCanceledError, "it took too long"),
    (asyncpg.LockNotAvailableError, "another server holds it for too long"),
)


async def connect(dsn_file: Path | None) -> asyncpg.Connection:
    """Open one connection.

    Raises:
        ConfigError: The address cannot be used, or nobody answers there as hoped.
    """
    dsn = read_dsn(dsn_file)
    try:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=2 * STATEMENT_TIMEOUT_S,
            server_settings=_SETTINGS,
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        where = "PGHOST and so on" if dsn_file is None else str(dsn_file)
        raise ConfigError(
            f"conversations cannot be kept in PostgreSQL: {words_of(error)}; look at {where}, "
            "and whether the database runs",
            param="history.dsn_file",
        ) from None


async def open_pool(dsn_file: Path | None) -> asyncpg.Pool:
    """Make a pool for reading; it connects as it is needed."""
    return await asyncpg.create_pool(
        read_dsn(dsn_file),
        min_size=0,  # with a floor the pool fills the log while the database is away
        max_size=NUM_READERS,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=2 * STATEMENT_TIMEOUT_S,
        server_settings=_SETTINGS,
    )


def read_dsn(dsn_file: Path | None) -> str | None:
    """Read the address; never shown, for it holds a password.

    Raises:
        ConfigError: There is no such file, or no address in it.
    """
    if dsn_file is None:
        return None
    try:
        dsn = dsn_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(
            f"history.dsn_file {dsn_file} cannot be read: {why}", param="history.dsn_file"
        ) from None
    if not dsn.startswith(("postgresql://", "postgres://")) or len(dsn.split()) != 1:
        raise ConfigError(
            f"history.dsn_file {dsn_file} holds no address of PostgreSQL; it must be one line, "
            "postgresql://USER:PASSWORD@HOST/DATABASE",
            param="history.dsn_file",
        )
    return dsn


async def migrate(connection: asyncpg.Connection) -> None:
    """Bring the tables up to date, one server after the other.

    Raises:
        ConfigError: A newer Kaiwa has been here.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS kaiwa_schema (version integer PRIMARY KEY)"
        )
        version = await read_version(connection)
        for number, statements in enumerate(POSTGRES_MIGRATIONS[version:], version + 1):
            for statement in statements:
                await connection.execute(statement)
            await connection.execute("INSERT INTO kaiwa_schema VALUES ($1)", number)


async def read_version(connection: asyncpg.Connection) -> int:
    """How far the tables are; 0 for none.

    Raises:
        ConfigError: Further than this server knows.
    """
    if await connection.fetchval("SELECT to_regclass('kaiwa_schema')") is None:
        return 0
    version: int = await connection.fetchval("SELECT coalesce(max(version), 0) FROM kaiwa_schema")
    newest = len(POSTGRES_MIGRATIONS)
    if version > newest:
        raise ConfigError(
            f"conversations cannot be kept in PostgreSQL: a newer Kaiwa made its tables (version "
            f"{version}; this one knows {newest}); run that one, or name another database",
            param="history.dsn_file",
        )
    return version


async def look_at(dsn_file: Path | None) -> str:
    """Say in a few words what a server would find; changes nothing.

    Raises:
        ConfigError: It could not be used.
    """
    connection = await connect(dsn_file)
    try:
        version = await read_version(connection)
        found: Any = "no"
        if version:
            found = await connection.fetchval("SELECT count(*) FROM conversations")
        server = ".".join(map(str, connection.get_server_version()[:2]))
        return f"PostgreSQL {server}, {found} conversations"
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise ConfigError(
            f"conversations cannot be kept in PostgreSQL: {words_of(error)}",
            param="history.dsn_file",
        ) from None
    finally:
        connection.terminate()


def is_lost(error: Exception) -> bool:
    """Whether the database is away, so that it may come back."""
    return isinstance(error, _LOST)


def is_worth_another_try(error: Exception) -> bool:
    """Whether it was only in another server's way."""
    return isinstance(error, _AGAIN)


def words_of(error: Exception) -> str:
    """What went wrong, in words that quote neither people nor statements nor the address."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, ConfigError):
        return "the database cannot be reached"
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "it does not answer in time"
    if is_lost(error):
        return "the database cannot be reached"
    if isinstance(error, asyncpg.PostgresError):
        return f"the database says {error.sqlstate}"
    return f"{type(error).__name__} in the store"
