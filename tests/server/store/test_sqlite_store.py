"""A file keeps what was acknowledged, whatever happens to the disk, the file or the process."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.conversation.changes import ItemKept, SummaryKept
from server.conversation.entries import Entry
from server.errors import StoreUnavailable
from server.protocol.items import ContentPart, MessageItem
from server.store import sqlite_log, write_queue
from server.store.ask import Plan
from server.store.memory_store import InMemoryStore
from server.store.sqlite_file import Durability, open_for_writing, run_plan
from tests.server.store.rooms import (
    Histories,
    Stores,
    everything,
    items_of,
    outcome,
    said,
    write,
)

pytestmark = [pytest.mark.wire(only="uvloop")]


@pytest.fixture
def files(tmp_path: Path) -> Stores:
    """Opens one file again and again."""
    return Stores("sqlite", tmp_path, None)


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
        await store.take_over("mio", "b", "v")
        other = write(store, "b", said("o", after="a"), begins=False, writer="v")
        after = write(store, "c", said("a"))
        assert [await outcome(one) for one in [*good, other, after]] == [""] * 4
        assert "could not be kept" in await outcome(failed)
        assert "could not be kept" in await outcome(later)
        assert await items_of(store, "b") == ["a", "o"]
        await store.take_over("mio", "b", "w")
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
            changes, futures, claims = [], [], []
            for _ in range(10):
                num_written += 1  # each by a writer of its own: nobody is kept from going on
                change = replace(histories.next(), writer=str(num_written))
                going_on = store.take_over(change.principal, change.conversation_id, change.writer)
                claims.append(asyncio.create_task(going_on))
                await asyncio.sleep(0)  # it is handed over
                changes.append(change)
                futures.append(store.append(change))
            await asyncio.gather(*claims, return_exceptions=True)
            for change, future in zip(changes, futures, strict=True):
                if not await outcome(future):
                    model.append(replace(change, writer=""))
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
        assert await outcome(write(store, "c", said("a"), writer="w")) == ""
        small_files(files.file.with_name("conversations.db-wal").stat().st_size + 10_000)
        told = await outcome(write(store, "c", said("b", "x" * 100_000), begins=False, writer="w"))
        assert "could not be kept" in told
        assert await items_of(store, "c") == ["a"]
        later = await outcome(write(store, "c", said("c"), begins=False, writer="w"))
        assert later == told
        small_files(resource.RLIM_INFINITY)
        await store.take_over("mio", "c", "v")
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
