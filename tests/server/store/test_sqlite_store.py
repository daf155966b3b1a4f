"""A file keeps what was acknowledged, whatever happens to the disk, the file or the process."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from server.conversation.changes import ItemKept, SummaryKept
from server.conversation.entries import Entry
from server.errors import StoreFailed, StoreUnavailable
from server.protocol.items import ContentPart, MessageItem
from server.store import sqlite_log, write_queue
from server.store.ask import Plan
from server.store.interface import ConversationStore
from server.store.memory_store import InMemoryStore
from server.store.sqlite_file import Durability, open_for_writing, run_plan
from server.store.sqlite_store import SqliteStore
from tests.server.store.rooms import Histories, Stores, everything, said, write

pytestmark = [pytest.mark.wire(only="uvloop")]


@pytest.fixture
def files(tmp_path: Path) -> Stores:
    """Opens one file again and again."""
    return Stores("sqlite", tmp_path, None)


async def outcome(future: asyncio.Future[None] | None) -> str:
    """What became of a write: nothing, or why it was not kept."""
    assert future is not None
    try:
        await future
    except StoreFailed as error:
        return error.message
    return ""


async def items_of(store: ConversationStore, name: str) -> list[str]:
    """Ids, in order."""
    return [entry.id for entry in (await store.load("mio", name)).entries]


async def test_what_is_kept_outlives_the_store(files: Stores) -> None:
    """A second one goes on where the first one ended; nothing was flushed by hand."""
    async with files.open() as store:
        write(store, "c", said("a"), SummaryKept("They met."))
    async with files.open() as store:
        write(store, "c", said("b", after="a"), begins=False)
        kept = await store.load("mio", "c")
    assert ([entry.id for entry in kept.entries], kept.summary) == (["a", "b"], "They met.")


async def test_nobody_else_may_open_the_file(files: Stores) -> None:
    """Nor what lies beside it, nor the folder."""
    async with files.open() as store:
        await outcome(write(store, "c", said("a")))
        modes = {stat.S_IMODE(path.stat().st_mode) for path in files.file.parent.iterdir()}
        assert modes == {0o600}
        assert stat.S_IMODE(files.file.parent.stat().st_mode) == 0o700


async def test_what_waits_goes_into_one_transaction(files: Stores) -> None:
    """A hundred writes take a handful of commits."""
    async with files.open(max_conversations=200) as store:
        futures = [write(store, f"c{number}", said("a")) for number in range(100)]
        await asyncio.gather(*(future for future in futures if future is not None))
        watcher = sqlite3.connect(files.file)
        (before,) = watcher.execute("PRAGMA data_version").fetchone()
        assert before  # the file is there for others to read
        watcher.close()
        assert len((await store.list("mio", limit=100)).conversations) == 100


async def test_one_bad_write_fails_alone(files: Stores) -> None:
    """And what the same writer says later in that conversation, so that nothing is missing."""
    part = ContentPart(type="input_text", text="\ud800")  # no UTF-8 can hold it
    bad = ItemKept(Entry(MessageItem(id="x", role="user", content=[part]), [], 3), None)
    async with files.open() as store:
        good = [write(store, "a", said("a")), write(store, "b", said("a"), writer="w")]
        failed = write(store, "b", bad, said("y"), begins=False, writer="w")
        later = write(store, "b", said("z"), begins=False, writer="w")
        other = write(store, "b", said("o", after="a"), begins=False, writer="v")
        after = write(store, "c", said("a"))
        assert [await outcome(one) for one in [*good, other, after]] == [""] * 4
        assert "could not be kept" in await outcome(failed)
        assert "could not be kept" in await outcome(later)
        assert await items_of(store, "b") == ["a", "o"]
        assert "could not be kept" in await outcome(
            write(store, "b", said("z"), begins=False, writer="w")
        )


@pytest.mark.parametrize("seed", range(4))
async def test_any_history_with_failures_keeps_what_was_acknowledged(
    files: Stores, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Transactions break off at random places: what was told to be kept is, and nothing else."""
    dice = random.Random(seed)

    def break_off(plan: Plan[Any]) -> Plan[Any]:
        try:
            ask = next(plan)
            while True:
                if dice.random() < 0.02:
                    raise sqlite3.OperationalError("injected")
                ask = plan.send((yield ask))
        except StopIteration as stop:
            return stop.value

    def run_broken(connection: sqlite3.Connection, plan: Plan[Any]) -> Any:
        return run_plan(connection, break_off(plan))

    monkeypatch.setattr("server.store.sqlite_store.run_plan", run_broken)
    limits = {"max_conversations": 3, "max_bytes": 12_000}
    model, histories, num_written = InMemoryStore(**limits), Histories(seed), 0
    async with files.open(**limits) as store:
        for _ in range(12):
            num_written += 10  # each by a writer of its own: nobody is kept from going on
            changes = [
                replace(histories.next(), writer=str(num_written + number)) for number in range(10)
            ]
            futures = [store.append(change) for change in changes]
            for change, future in zip(changes, futures, strict=True):
                if not await outcome(future):
                    model.append(change)
    async with files.open(**limits) as store:
        monkeypatch.setattr("server.store.sqlite_store.run_plan", run_plan)
        assert await everything(store) == await everything(model)


@pytest.fixture
def small_files() -> Iterator[Any]:
    """Lets files grow no further than told; the signal for that is not heard."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def bound(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))

    yield bound
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


async def test_a_full_disk_fails_writes_and_they_go_on_when_there_is_room(
    files: Stores, small_files: Any
) -> None:
    """What was acknowledged stays readable all the while."""
    import resource

    async with files.open() as store:
        assert await outcome(write(store, "c", said("a"))) == ""
        small_files(files.file.with_name("conversations.db-wal").stat().st_size + 10_000)
        told = await outcome(write(store, "c", said("b", "x" * 100_000), begins=False, writer="w"))
        assert "could not be kept" in told
        assert await items_of(store, "c") == ["a"]
        later = await outcome(write(store, "c", said("c"), begins=False, writer="w"))
        assert later == told
        small_files(resource.RLIM_INFINITY)
        assert (
            await outcome(write(store, "c", said("d", after="a"), begins=False, writer="v")) == ""
        )
        assert await items_of(store, "c") == ["a", "d"]
    async with files.open() as store:
        assert await items_of(store, "c") == ["a", "d"]


async def test_a_database_without_a_page_left_says_so(
    files: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQLite tells of a full disk; what is small still finds room."""

    def open_small(file: Path, durability: Durability) -> sqlite3.Connection:
        connection = open_for_writing(file, durability)
        connection.execute("PRAGMA max_page_count = 15")
        return connection

    monkeypatch.setattr("server.store.sqlite_store.open_for_writing", open_small)
    async with files.open() as store:
        assert await outcome(write(store, "c", said("a"))) == ""
        told = await outcome(write(store, "c", said("b", "x" * 100_000), begins=False))
        assert "(the disk is full)" in told
        assert await outcome(write(store, "d", said("a"))) == ""


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for little."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only who may mount a file system can have a small one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
async def test_a_disk_without_room_fails_writes_until_there_is_some(
    tiny_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was acknowledged stays readable; the log is told once, not with every write."""
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(200_000))
    async with Stores("sqlite", tiny_disk, None).open(100, 10**9) as store:
        told = [
            await outcome(write(store, f"c{number}", said("a", "x" * 9000))) for number in range(60)
        ]
        assert 5 < told.count("") < 60
        assert "(the disk is full)" in told[-1]
        assert len((await store.list("mio", limit=100)).conversations) == told.count("")
        filler.unlink()
        assert await outcome(write(store, "again", said("a", "x" * 9000))) == ""
        assert await store.erase_all("mio") == told.count("") + 1
    lines = [record.getMessage() for record in caplog.records]
    assert lines.count("conversations cannot be kept: the disk is full") == 1


async def test_a_locked_database_fails_writes_after_a_while(
    files: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them at once, not one after the other; reads go on."""
    monkeypatch.setattr("server.store.sqlite_file.BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr("server.store.sqlite_store.BUSY_TIMEOUT_S", 0.05)
    async with files.open() as store:
        await outcome(write(store, "c", said("a")))
        other = sqlite3.connect(files.file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        futures = [write(store, f"d{number}", said("a")) for number in range(50)]
        begun = time.monotonic()
        told = {await outcome(future) for future in futures}
        assert time.monotonic() - begun < 2
        assert ["(another process holds the database)" in one for one in told] == [True]
        assert await items_of(store, "c") == ["a"]
        other.execute("ROLLBACK")
        other.close()
        assert await outcome(write(store, "e", said("a"))) == ""


async def test_a_long_reader_cannot_make_the_log_grow_without_end(
    files: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody reads for hours: writes fail at the bound, and go on when that ends."""
    monkeypatch.setattr(sqlite_log, "SOFT_BYTES", 60_000)
    monkeypatch.setattr(sqlite_log, "RETRY_S", 0.0)
    monkeypatch.setattr(sqlite_log, "_PATIENCE_MS", 1)
    bound = 300_000
    log = files.file.with_name("conversations.db-wal")
    async with files.open(max_wal_bytes=bound, max_bytes=10**9, max_conversations=1000) as store:
        await outcome(write(store, "c", said("a")))
        reader = sqlite3.connect(files.file, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        told = ""
        for number in range(20):
            told = await outcome(write(store, f"d{number}", said("a", "x" * 20_000)))
            assert log.stat().st_size < bound + 100_000
        assert "another program has been reading" in told
        reader.execute("ROLLBACK")
        reader.close()
        assert await outcome(write(store, "e", said("a"))) == ""
        for number in range(10):
            await outcome(write(store, f"f{number}", said("a", "x" * 20_000)))
            assert log.stat().st_size < 160_000


async def test_what_was_erased_is_nowhere_in_the_files(files: Stores) -> None:
    """One conversation among others, an item, then all; the rest stays."""
    texts = {number: f"SECRET{number:04d}" * 40 for number in range(40)}
    async with files.open(max_conversations=1000) as store:
        for number, text in texts.items():
            write(store, f"c{number}", said("a", text), said("b", "keep" * number, after="a"))
        for number in range(0, 40, 3):
            await store.erase("mio", f"c{number}")
        for number in range(1, 40, 3):
            write(store, f"c{number}", said("a", "short"), begins=False)
        await store.flush()
        await store.erase("mio", "c2")
        found = b"".join(path.read_bytes() for path in files.file.parent.iterdir())
        gone = [n for n in texts if n % 3 == 0 or n % 3 == 1 or n == 2]
        assert [n for n in gone if texts[n][:10].encode() in found] == []
        assert texts[5].encode() in found
        assert await store.erase_all("mio") == 25
        found = b"".join(path.read_bytes() for path in files.file.parent.iterdir())
        assert b"SECRET" not in found
        assert b"keep" not in found


async def test_two_servers_may_share_a_file(files: Stores) -> None:
    """Each sees what the other has changed, also in the middle of its own conversation."""
    async with files.open() as one, files.open() as two:
        await outcome(write(one, "c", said("a"), said("z", after="a")))
        await outcome(write(two, "c", said("b", after="a"), begins=False))
        await outcome(write(one, "c", said("d", after="b"), begins=False))
        await outcome(write(two, "c", said("e", after="d"), begins=False))
        assert await items_of(one, "c") == ["a", "b", "d", "e", "z"]
        await two.erase("mio", "c")
        await outcome(write(one, "c", said("f"), begins=False))
        assert (await two.list("mio", limit=5)).conversations == ()


async def test_too_much_that_waits_fails_at_once(
    files: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what its writer says next, even when there is room again."""
    monkeypatch.setattr(write_queue, "MAX_JOBS", 3)
    async with files.open() as store:
        await outcome(write(store, "c", said("0")))
        futures = [write(store, "c", said(f"{n}"), begins=False) for n in range(1, 6)]
        told = [await outcome(future) for future in futures]
        assert told[:3] == [""] * 3
        assert all("(too much waits to be written)" in one for one in told[3:])
        assert await outcome(write(store, "c", said("6"), begins=False)) == told[-1]
        assert len(await items_of(store, "c")) == 4


async def test_nothing_is_taken_after_the_end(files: Stores) -> None:
    """Neither writes nor reads; what was handed over before is written."""
    async with files.open() as store:
        before = write(store, "c", said("a"))
    assert await outcome(before) == ""
    assert "(the server stops)" in await outcome(write(store, "c", said("b"), begins=False))
    for attempt in (store.load("mio", "c"), store.erase_all("mio")):
        with pytest.raises(StoreUnavailable):
            await attempt


async def test_an_item_of_another_shape_is_not_shown_as_something_else(files: Stores) -> None:
    """Its conversation cannot be read, others can."""
    async with files.open() as store:
        write(store, "c", said("a"))
        write(store, "d", said("a"))
    other = sqlite3.connect(files.file)
    other.execute("UPDATE items SET body = x'7b7d' WHERE conversation = ?", (b"c",))
    other.commit()
    other.close()
    async with files.open() as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.load("mio", "c")
        assert caught.value.code == "store_unavailable"
        assert await items_of(store, "d") == ["a"]


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


WRITER = """
import asyncio, sys
from pathlib import Path
from server.store.sqlite_file import Durability, open_for_writing, run_plan
from server.store.sqlite_store import SqliteStore
from tests.server.store.rooms import Histories

async def main(file, seed):
    store = SqliteStore(Path(file), max_conversations=3, max_bytes=20_000)
    await store.start()
    histories = Histories(seed)
    handed = 0
    def tell(_future):
        sys.stdout.write("+")
        sys.stdout.flush()
    while True:
        for _ in range(1 + handed % 5):
            store.append(histories.next()).add_done_callback(tell)
            handed += 1
        await asyncio.sleep(0)
        if handed % 3 == 0:
            await store.flush()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def write_until_killed(file: Path, seed: int) -> int:
    """Have another process write, and kill it; returns how many writes were acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file), str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as writer:
        assert writer.stdout is not None
        acknowledged = len(writer.stdout.read(1))
        time.sleep(random.Random(seed).random() * 0.4)
        writer.kill()
        return acknowledged + len(writer.stdout.read())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_kill_9_loses_nothing_that_was_acknowledged(files: Stores, seed: int) -> None:
    """What is there is what some number of whole writes made, at least the acknowledged ones."""
    acknowledged = await asyncio.to_thread(write_until_killed, files.file, seed)
    assert acknowledged > 0
    async with files.open() as store:
        found = await everything(store)
    model, histories = InMemoryStore(max_conversations=3, max_bytes=20_000), Histories(seed)
    for _ in range(acknowledged):
        model.append(histories.next())
    for _ in range(10_000):
        if await everything(model) == found:
            return
        model.append(histories.next())
    pytest.fail(f"{acknowledged} writes were acknowledged, and something of them is not there")


REFUSED = """
import asyncio, os, sys
from pathlib import Path
from engine.errors import ConfigError
from server.store.sqlite_file import look_at
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
