"""A database elsewhere comes and goes; what was acknowledged stays, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from pathlib import Path

import asyncpg
import pytest

from engine.errors import ConfigError
from server.config.conversations import HistoryConfig
from server.conversation.changes import ItemKept
from server.conversation.entries import Entry
from server.errors import StoreUnavailable
from server.protocol.items import ContentPart, MessageItem
from server.store.memory_store import InMemoryStore
from server.store.open_store import look_at_store
from server.store.postgres_store import PostgresStore
from tests.server.store.rooms import (
    Histories,
    Stores,
    everything,
    items_of,
    make_schema,
    outcome,
    said,
    write,
)
from tests.support.postgres import PostgresCluster

pytestmark = [pytest.mark.wire(only="uvloop"), pytest.mark.slow]


@pytest.fixture
def schema() -> str:
    """A name that no other test has."""
    return f"k{secrets.token_hex(8)}"


@pytest.fixture
async def tables(cluster: PostgresCluster, schema: str, tmp_path: Path) -> Stores:
    """Opens stores in one empty schema."""
    return Stores("postgres", tmp_path, await make_schema(cluster, schema))


async def test_what_is_kept_outlives_the_store(tables: Stores) -> None:
    """A second one goes on where the first one ended."""
    async with tables.open() as store:
        write(store, "c", said("a"))
    async with tables.open() as store:
        write(store, "c", said("b", after="a"), begins=False)
        assert (await store.load("mio", "c")).head.num_items == 2


async def test_writes_wait_for_a_database_that_is_started_again(
    tables: Stores, cluster: PostgresCluster
) -> None:
    """It is cut off in the middle of a history; all of it is there afterwards, once."""
    limits = {"max_conversations": 3, "max_bytes": 12_000}
    model, histories = InMemoryStore(**limits), Histories(7)
    async with tables.open(**limits) as store:
        futures, told = [], []
        for number in range(60):
            change = histories.next()
            refused = model.append(change)
            told.append("" if refused is None else await outcome(refused))
            futures.append(store.append(change))
            if number in (20, 40):
                await asyncio.to_thread(cluster.stop)
                waiting = asyncio.create_task(store.list("mio", limit=5))
                await asyncio.to_thread(cluster.start)
                await waiting
            await asyncio.sleep(0)
        assert [await outcome(future) for future in futures] == told
        assert await everything(store) == await everything(model)


async def test_nobody_waits_for_ever(
    tables: Stores, cluster: PostgresCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that stays away fails what waits, and reads; then all goes on.

    The log is told that it is away, in one line, and nothing of how that was found out.
    """
    async with tables.open(write_patience_s=0.6, read_patience_s=0.3) as store:
        assert await outcome(write(store, "c", said("a"))) == ""
        await asyncio.to_thread(cluster.stop)
        try:
            futures = [write(store, "c", said("b", after="a"), begins=False) for _ in range(20)]
            begun = time.monotonic()
            told = {await outcome(future) for future in futures}
            assert all("(the database cannot be reached)" in one for one in told)
            with pytest.raises(StoreUnavailable):
                await store.load("mio", "c")
            assert time.monotonic() - begun < 6
        finally:
            await asyncio.to_thread(cluster.start)
        later = await outcome(write(store, "c", said("c"), begins=False))
        assert later in told  # something before it is missing
        await store.take_over("mio", "c", "v")
        other = write(store, "c", said("d", after="a"), begins=False, writer="v")
        assert await outcome(other) == ""
        kept = await store.load("mio", "c")
        assert [entry.id for entry in kept.entries] == ["a", "d"]
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == [
        "conversations cannot be kept: the database cannot be reached"
    ]


async def test_two_servers_share_a_database(tables: Stores) -> None:
    """Each sees what the other has changed, also in the middle of its own conversation."""
    async with tables.open() as one, tables.open() as two:
        await outcome(write(one, "c", said("a"), said("z", after="a")))
        await outcome(write(two, "c", said("b", after="a"), begins=False))
        await outcome(write(one, "c", said("d", after="b"), begins=False))
        kept = await two.load("mio", "c")
        assert [entry.id for entry in kept.entries] == ["a", "b", "d", "z"]


async def test_a_conversation_is_taken_over_from_another_server(tables: Stores) -> None:
    """Who had it there can write no more, though it knows what it wrote last."""
    async with tables.open() as one, tables.open() as two:
        await outcome(write(one, "c", said("a"), writer="v"))
        await two.take_over("mio", "c", "w")
        late = write(one, "c", said("b", after="a"), begins=False, writer="v")
        assert "another session" in await outcome(late)
        later = write(two, "c", said("d", after="a"), begins=False, writer="w")
        assert await outcome(later) == ""
        assert await items_of(one, "c") == ["a", "d"]


async def test_servers_that_write_at_once_do_not_lose_a_write(tables: Stores) -> None:
    """The same conversations, from two sides, many times; no two changes have one number."""
    names = [f"c{number}" for number in range(5)]
    async with tables.open() as one, tables.open() as two:
        await asyncio.gather(*(outcome(write(one, name, said("0"))) for name in names))
        dice = random.Random(3)
        futures = []
        for number in range(1, 100):
            for store, side in ((one, "a"), (two, "b")):
                change = said(f"{side}{number}", after="0")
                futures.append(write(store, dice.choice(names), change, begins=False))
            if number % 10 == 0:
                await asyncio.sleep(0.005)
        assert {await outcome(future) for future in futures} == {""}
        heads = (await one.list("mio", limit=10)).conversations
        assert sum(head.num_items for head in heads) == len(names) + len(futures)
        for head in heads:
            assert len((await two.load("mio", head.id)).entries) == head.num_items


async def test_servers_that_start_at_once_make_the_tables_once(tables: Stores) -> None:
    """The others wait for whoever is first."""
    async with tables.open() as one, tables.open() as two, tables.open() as three:
        await outcome(write(one, "c", said("a")))
        for store in (two, three):
            assert (await store.load("mio", "c")).head.num_items == 1


async def test_one_bad_write_fails_alone(tables: Stores) -> None:
    """Its neighbours in the transaction are kept."""
    part = ContentPart(type="input_text", text="\ud800")
    bad = ItemKept(Entry(MessageItem(id="x", role="user", content=[part]), [], 3), None)
    async with tables.open() as store:
        futures = [write(store, name, said("a")) for name in "ab"]
        futures += [write(store, "bad", bad), write(store, "c", said("a"))]
        told = [await outcome(future) for future in futures]
        assert [bool(one) for one in told] == [False, False, True, False]


async def test_tables_of_a_newer_server_are_refused(
    tables: Stores, cluster: PostgresCluster, schema: str, tmp_path: Path
) -> None:
    """By the server, and by the doctor."""
    async with tables.open() as store:
        await outcome(write(store, "c", said("a")))
    history = HistoryConfig(keep="postgres", dsn_file=tmp_path / "dsn")
    told = await asyncio.to_thread(look_at_store, history)
    assert told.startswith("PostgreSQL ")
    assert told.endswith(", 1 conversations")
    connection = await asyncpg.connect(cluster.dsn(schema))
    await connection.execute("INSERT INTO kaiwa_schema VALUES (1000)")
    await connection.close()
    with pytest.raises(ConfigError, match=r"a newer Kaiwa made its tables \(version 1000"):
        async with tables.open():
            pass
    with pytest.raises(ConfigError, match="run that one"):
        await asyncio.to_thread(look_at_store, history)


@pytest.mark.parametrize(
    ("database", "problem"), [("nowhere", "there is no database of that name")]
)
async def test_what_the_database_says_is_told(
    cluster: PostgresCluster, tmp_path: Path, database: str, problem: str
) -> None:
    """In words, with where to look."""
    file = tmp_path / "dsn"
    file.write_text(f"postgresql://kaiwa:secret@127.0.0.1:{cluster.port}/{database}")
    store = PostgresStore(file, max_conversations=1, max_bytes=10**6)
    with pytest.raises(ConfigError, match=problem) as caught:
        await store.start()
    await store.aclose()
    assert "secret" not in caught.value.message
    assert caught.value.param == "history.dsn_file"
