"""Opens the file that conversations are kept in, or says why it cannot be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from engine.errors import ConfigError
from server.store.ask import Plan, Result, Row
from server.store.schema import SQLITE_MIGRATIONS

Durability = Literal["full", "normal"]

APPLICATION_ID = 0x4B616977
"""``Kaiw``: SQLite keeps four bytes in the file's head that say whose it is."""
LEAST_VERSION = (3, 37, 0)
"""STRICT tables; RETURNING is older."""
BUSY_TIMEOUT_S = 5.0
"""How long a transaction waits for another process that writes."""
CHECK_TIME_S = 2.0
"""What looking for damage may take at the start; a large file is looked at as far as it goes."""
CHECKPOINT_PAGES = 1000
"""Pages in the write-ahead log after which they are moved to the file; 4 MB."""
MAX_WAL_BYTES = 64 * 1024 * 1024
"""What the log may grow to while somebody reads; then writes fail until they have read."""

_OTHER = "name another file with history.file, or set history.keep to memory"


def open_for_writing(file: Path, durability: Durability) -> sqlite3.Connection:
    """Open the file, make it where there is none, and bring its tables up to date.

    A folder that is made is for the owner alone (0700), and so is the file (0600); where they are
    there already they are left as they are.

    Raises:
        ConfigError: It cannot be used: no database, damaged, from a newer server, not writable.
    """
    if sqlite3.sqlite_version_info < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise _unusable(
            file, f"it needs SQLite {least}, and this Python has {sqlite3.sqlite_version}", _OTHER
        )
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _unusable(file, f"{error.strerror}", _OTHER) from None
    with _refused(file):
        connection = sqlite3.connect(
            file, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
        )
        with _closed_on_error(connection):
            _refuse_strangers(file, connection)
            _look_for_damage(file, connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {durability}")
            connection.execute(f"PRAGMA fullfsync = {durability == 'full'}")  # for macOS
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {CHECKPOINT_PAGES * 4096}")
            _migrate(connection)
    return connection


def open_for_reading(file: Path) -> sqlite3.Connection:
    """Open a file that ``open_for_writing`` has left in order.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    uri = f"{file.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
    )
    with _closed_on_error(connection):
        connection.execute("PRAGMA query_only = ON")
    return connection


def look_at(file: Path) -> str:
    """Say in a few words what a server would find; changes nothing.

    Raises:
        ConfigError: It could not be used.
    """
    if not file.exists():
        folder = next(one for one in (file.parent, *file.parent.parents) if one.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise _unusable(file, f"nothing can be written into {folder}", _OTHER)
        return f"{file} will be made"
    if not os.access(file, os.R_OK | os.W_OK):
        raise _unusable(file, "it may not be written", f"change its mode, or {_OTHER}")
    with _refused(file):
        connection = open_for_reading(file)
        with contextlib.closing(connection):
            _refuse_strangers(file, connection)
            _look_for_damage(file, connection)
            found = "no"
            if _pragma(connection, "user_version"):
                found = connection.execute("SELECT count(*) FROM conversations").fetchone()[0]
    shown = f"{file}, {found} conversations"
    others = stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    return f"{shown}; others may open it, chmod 600 keeps them out" if others else shown


def run_plan(connection: sqlite3.Connection, plan: Plan[Result]) -> Result:
    """Ask what a plan wants to know, within a transaction of the caller's."""
    rows: list[Row] = []
    try:
        ask = next(plan)
        while True:
            sql = _translated(ask.sql)
            rows = []
            for params in ask.params:
                rows += connection.execute(sql, params).fetchall()
            ask = plan.send(rows)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        plan.close()


def words_of(error: Exception) -> str:
    """What went wrong, in words that quote neither people nor statements."""
    name = getattr(error, "sqlite_errorname", "") or ""
    for beginning, words in _WORDS.items():
        if name.startswith(beginning):
            return words
    return f"the database says {name}" if name else f"{type(error).__name__} in the store"


_WORDS = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_BUSY": "another process holds the database",
    "SQLITE_LOCKED": "another process holds the database",
    "SQLITE_READONLY": "the database may not be written",
    "SQLITE_CANTOPEN": "the database cannot be opened",
    "SQLITE_NOTADB": "the file is no database",
    "SQLITE_CORRUPT": "the database is damaged",
    "SQLITE_IOERR": "the disk fails",
    "SQLITE_INTERRUPT": "it took too long",
    "SQLITE_TOOBIG": "it is too large",
}
"""By the beginnings of SQLite's names."""


def _translated(sql: str) -> str:
    found = _TRANSLATIONS.get(sql)
    if found is None:
        found = _TRANSLATIONS[sql] = sql.replace("$", "?").replace(" FOR UPDATE", "")
    return found


_TRANSLATIONS: dict[str, str] = {}
"""As many as there are statements."""


def _refuse_strangers(file: Path, connection: sqlite3.Connection) -> None:
    """See to it that the file is ours, or new."""
    version = _pragma(connection, "user_version")
    newest = len(SQLITE_MIGRATIONS)
    owner = _pragma(connection, "application_id")
    num_tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if owner != APPLICATION_ID and (owner or version or num_tables):
        raise _unusable(file, "it is a database of another program", _OTHER)
    if version > newest:
        raise _unusable(
            file,
            f"a newer Kaiwa wrote it (version {version}; this one knows {newest})",
            f"run that one, or {_OTHER}",
        )


def _look_for_damage(file: Path, connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + CHECK_TIME_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_INTERRUPT":
            raise
        found = "ok"
    finally:
        connection.set_progress_handler(None, 0)
    if found != "ok":
        raise _unusable(file, _WORDS["SQLITE_CORRUPT"], _DAMAGED)


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _pragma(connection, "user_version")
        for number, statements in enumerate(SQLITE_MIGRATIONS[version:], version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        if version == 0:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


@contextlib.contextmanager
def _refused(file: Path) -> Iterator[None]:
    """Refuse a file that SQLite does not like."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        damaged = name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        raise _unusable(file, words_of(error), _DAMAGED if damaged else _OTHER) from None


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


_DAMAGED = "put a copy in its place, move it away to begin anew, or name another with history.file"


def _unusable(file: Path, problem: str, way_out: str) -> ConfigError:
    return ConfigError(
        f"conversations cannot be kept in {file}: {problem}; {way_out}", param="history.file"
    )
