"""The log of SQLite's is emptied where it is long, and where it holds what was erased."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.store import sqlite_log
from server.store.attempts import TransactionFailed
from server.store.sqlite_log import WriteAheadLog


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Writes to a database with a log."""
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE t (text)")
        yield connection


@pytest.fixture
def log(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WriteAheadLog:
    """Its log, with bounds that are soon reached."""
    monkeypatch.setattr(sqlite_log, "SOFT_BYTES", 50_000)
    monkeypatch.setattr(sqlite_log, "RETRY_S", 0.0)
    monkeypatch.setattr(sqlite_log, "_PATIENCE_MS", 1)
    return WriteAheadLog(tmp_path / "x.db", connection, max_bytes=100_000, busy_timeout_s=2.5)


def grow(connection: sqlite3.Connection, num_bytes: int) -> None:
    """Write so much."""
    connection.execute("INSERT INTO t VALUES (?)", ("x" * num_bytes,))


def test_a_short_log_is_left_alone(
    log: WriteAheadLog, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """Above the soft bound it is emptied; what the connection waits for others stays."""
    grow(connection, 20_000)
    before = (tmp_path / "x.db-wal").stat().st_size
    log.bound()
    assert (tmp_path / "x.db-wal").stat().st_size == before > 20_000
    grow(connection, 40_000)
    log.bound()
    assert (tmp_path / "x.db-wal").stat().st_size == 0
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (2500,)


def test_what_was_erased_stays_on_the_list_while_somebody_reads(
    log: WriteAheadLog, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """And goes with the next try."""
    grow(connection, 10)
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t").fetchall()
        grow(connection, 10)
        log.empty(of_erased=True)
        assert log.holds_erased
    log.bound()
    assert not log.holds_erased


def test_above_the_hard_bound_nothing_is_written(
    log: WriteAheadLog, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """Until the reader has read."""
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as reader:
        grow(connection, 10)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t").fetchall()
        grow(connection, 80_000)
        log.bound()
        grow(connection, 80_000)
        with pytest.raises(TransactionFailed) as caught:
            log.bound()
        assert caught.value.is_for_all
    log.bound()


def test_a_failure_of_its_own_fails_nobody(
    log: WriteAheadLog, connection: sqlite3.Connection
) -> None:
    """What was committed is safe without."""
    connection.execute("BEGIN IMMEDIATE")  # nothing can be emptied within
    log.empty(of_erased=True)
    assert log.holds_erased
    connection.execute("ROLLBACK")
