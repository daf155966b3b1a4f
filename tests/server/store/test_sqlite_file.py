"""A file that cannot be used is refused at the start, by its name, and left as it was."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import ConfigError
from server.store import sqlite_file
from server.store.schema import SQLITE_MIGRATIONS
from server.store.sqlite_file import Durability, open_for_writing
from server.store.sqlite_store import SqliteStore
from tests.server.store.rooms import Stores, items_of, outcome, said, write

pytestmark = [pytest.mark.wire(only="uvloop")]


@pytest.fixture
def files(tmp_path: Path) -> Stores:
    """Where the file is."""
    return Stores("sqlite", tmp_path, None)


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_a_commit_waits_for_the_disk_as_told(
    files: Stores, durability: Durability, synchronous: int
) -> None:
    """And the file is opened with all that makes it safe and short."""
    with contextlib.closing(open_for_writing(files.file, durability)) as connection:
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in (
                "synchronous",
                "fullfsync",
                "journal_mode",
                "secure_delete",
                "foreign_keys",
            )
        }
    assert found == {
        "synchronous": synchronous,
        "fullfsync": synchronous - 1,
        "journal_mode": "wal",
        "secure_delete": 1,
        "foreign_keys": 1,
    }


def test_an_older_python_is_told_what_is_missing(
    files: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any file is made."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
    with pytest.raises(ConfigError, match=r"it needs SQLite 3\.37\.0"):
        open_for_writing(files.file, "full")
    assert not files.file.parent.exists()


def damage(file: Path, how: str) -> None:
    """Make a file one that cannot be used."""
    file.parent.mkdir()
    if how == "text":
        file.write_text("This is no database. " * 1000)
        return
    if how == "folder":
        file.mkdir()
        return
    if how == "other":
        other = sqlite3.connect(file)
        other.execute("CREATE TABLE birds (name)")
        other.commit()
        other.close()
        return
    asyncio.run(fill(file))
    connection = sqlite3.connect(file)
    if how == "newer":
        connection.execute("PRAGMA user_version = 1000")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    if how == "damaged":
        content = bytearray(file.read_bytes())
        for at in range(4096, len(content), 4096):
            content[at : at + 100] = b"\xff" * 100
        file.write_bytes(content)


async def fill(file: Path) -> None:
    """Make a file that is in order."""
    store = SqliteStore(file, max_conversations=100, max_bytes=10**7)
    await store.start()
    for number in range(20):
        write(store, f"c{number}", said("a", "x" * 500))
    await store.aclose()


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("text", "the file is no database"),
        ("folder", "Is a directory"),
        ("other", "it is a database of another program"),
        ("newer", "a newer Kaiwa wrote it (version 1000; this one knows"),
        ("damaged", "the database is damaged"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused(files: Stores, how: str, problem: str) -> None:
    """With its name, what is wrong and the way out; and it is left as it was."""
    await asyncio.to_thread(damage, files.file, how)
    before = files.file.read_bytes() if how != "folder" else b""
    store = SqliteStore(files.file, max_conversations=1, max_bytes=10**6)
    with pytest.raises(ConfigError) as caught:
        await store.start()
    await store.aclose()
    assert caught.value.param == "history.file"
    assert f"cannot be kept in {files.file}: {problem}" in caught.value.message
    assert "history.file" in caught.value.message.partition(";")[2]
    if how != "folder":
        assert files.file.read_bytes() == before


REFUSED = """
import asyncio, os, sys
from pathlib import Path
from engine.errors import ConfigError
from server.store.sqlite_file import look_at
from server.store import sqlite_file
from server.store.schema import SQLITE_MIGRATIONS
from server.store.sqlite_file import Durability, open_for_writing
from server.store.sqlite_store import SqliteStore

file = Path(sys.argv[1])
os.setresuid(65534, 65534, 65534)
for attempt in (lambda: look_at(file), lambda: asyncio.run(
        SqliteStore(file, max_conversations=1, max_bytes=10**6).start())):
    try:
        attempt()
    except ConfigError as error:
        print(error.message)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_file_that_may_not_be_written_is_refused(files: Stores) -> None:
    """By the server, and by the doctor before it."""
    asyncio.run(fill(files.file))
    for path in (files.file, *files.file.parents[:4]):
        path.chmod(0o755 if path.is_dir() else 0o444)
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, str(files.file)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    told = done.stdout.splitlines()
    assert len(told) == 2, done.stderr
    assert all(f"cannot be kept in {files.file}: " in line for line in told)
    assert "it may not be written" in told[0]
    assert "Permission denied" in told[1]


def versions_of(file: Path) -> tuple[int, int]:
    """Of the tables, and how many columns conversations have."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        columns = connection.execute("PRAGMA table_info(conversations)").fetchall()
        return version, len(columns)


def test_a_file_of_the_first_version_can_be_gone_on_with(
    files: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has its conversations, and whoever takes one over may write."""
    monkeypatch.setattr(sqlite_file, "SQLITE_MIGRATIONS", SQLITE_MIGRATIONS[:1])
    with contextlib.closing(open_for_writing(files.file, "full")) as connection:
        connection.execute(
            "INSERT INTO conversations VALUES "
            "(x'63', x'6d696f', x'616f69', 1, 1, 1, x'', 0, 9, x'', x'')"
        )
    monkeypatch.setattr(sqlite_file, "SQLITE_MIGRATIONS", SQLITE_MIGRATIONS)

    async def go_on() -> list[str]:
        async with files.open() as store:
            await store.take_over("mio", "c", "w")
            await outcome(write(store, "c", said("a"), begins=False, writer="w"))
            return await items_of(store, "c")

    assert asyncio.run(go_on()) == ["a"]


def test_an_older_file_is_brought_up_to_date(
    files: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step, each whole or not at all; what was kept stays."""
    asyncio.run(fill(files.file))
    version, num_columns = versions_of(files.file)
    column = "ALTER TABLE conversations ADD COLUMN mood BLOB"
    broken = (*SQLITE_MIGRATIONS, (column, "ALTER TABLE birds ADD COLUMN name"))
    monkeypatch.setattr(sqlite_file, "SQLITE_MIGRATIONS", broken)
    with pytest.raises(ConfigError, match="the database says SQLITE_ERROR"):
        open_for_writing(files.file, "full")
    assert versions_of(files.file) == (version, num_columns)
    monkeypatch.setattr(sqlite_file, "SQLITE_MIGRATIONS", (*SQLITE_MIGRATIONS, (column,)))
    for _ in range(2):
        open_for_writing(files.file, "full").close()
        assert versions_of(files.file) == (version + 1, num_columns + 1)
    assert sqlite_file.look_at(files.file).endswith(", 20 conversations")
