"""Keeps SQLite's write-ahead log short, whoever reads.

SQLite moves the log's pages into the file as it goes, and begins the log anew when nobody reads
from it (https://sqlite.org/wal.html#avoiding_excessively_large_wal_files). Where somebody always
does, the log would grow without end; so above a soft bound the writer waits a moment for a gap
between readers, and above a hard one nothing is written until there is one.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path

from server.store.attempts import TransactionFailed

logger = logging.getLogger(__name__)

SOFT_BYTES = 16 * 1024 * 1024
"""From here on the writer asks for a gap."""
RETRY_S = 1.0
"""Between two tries."""
_PATIENCE_MS = 100
"""For a gap between readers."""


class WriteAheadLog:
    """The log of one database; belongs to the thread that writes."""

    def __init__(
        self, file: Path, connection: sqlite3.Connection, *, max_bytes: int, busy_timeout_s: float
    ) -> None:
        """Look at nothing yet.

        Args:
            file: The database.
            connection: The writing one, outside of transactions.
            max_bytes: From here on nothing is written.
            busy_timeout_s: What the connection waits for others otherwise.
        """
        self._file = Path(f"{file}-wal")
        self._connection = connection
        self._max_bytes = max_bytes
        self._busy_timeout_ms = int(busy_timeout_s * 1000)
        self._tried_at = -RETRY_S
        self._holds_erased = False

    @property
    def holds_erased(self) -> bool:
        """Whether it may still hold what was erased, because somebody was reading."""
        return self._holds_erased

    def bound(self) -> None:
        """Shorten it where it is too long; before each transaction.

        Raises:
            TransactionFailed: It is too long to be written to.
        """
        size = self._size()
        if size <= SOFT_BYTES and size <= self._max_bytes and not self._holds_erased:
            return
        if time.monotonic() - self._tried_at >= RETRY_S:
            self.empty()
        if self._size() > self._max_bytes:
            raise TransactionFailed(
                "another program has been reading the database for too long", is_for_all=True
            )

    def empty(self, *, of_erased: bool = False) -> None:
        """Move all of it into the file, where readers allow it.

        Args:
            of_erased: It holds what was erased, and this is tried until it is done.
        """
        self._holds_erased = self._holds_erased or of_erased
        self._tried_at = time.monotonic()
        execute = self._connection.execute
        execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        try:
            (is_busy, *_) = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not is_busy:
                self._holds_erased = False
        except sqlite3.Error as error:
            logger.warning("the log could not be emptied: %s", error.sqlite_errorname)
        finally:
            execute(f"PRAGMA busy_timeout = {self._busy_timeout_ms}")

    def _size(self) -> int:
        try:
            return os.stat(self._file).st_size
        except FileNotFoundError:
            return 0
