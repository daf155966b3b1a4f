"""What is written, and what is read for it; the rest is in ``test_behaviour``."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import pytest

from server.conversation.changes import Change, ItemGone, NoteKept, SummaryKept
from server.store import ledger as ledger_room
from server.store.ask import Ask, Plan, Row, key
from server.store.interface import Write
from server.store.ledger import Ledger
from server.store.schema import SQLITE_MIGRATIONS
from server.store.writing import Erase, Job, Outcome, perform
from tests.server.store.rooms import said


class Database:
    """Tables in memory, and what was asked of them."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys = ON")
        for statement in chain.from_iterable(SQLITE_MIGRATIONS):
            self.connection.execute(statement)
        self.asked: list[Ask] = []

    def run(self, ledger: Ledger, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """Do jobs; returns what each came to."""
        self.asked.clear()
        plan: Plan[Sequence[Outcome]] = perform(ledger, jobs)
        try:
            ask = next(plan)
            while True:
                self.asked.append(ask)
                sql = ask.sql.replace("$", "?").replace(" FOR UPDATE", "")
                rows: list[Row] = []
                for params in ask.params:
                    rows += self.connection.execute(sql, params).fetchall()
                ask = plan.send(rows)
        except StopIteration as stop:
            results: Sequence[Outcome] = stop.value
            return results

    def written(self, table: str) -> list[Row]:
        """Parameters of what was put into a table."""
        return [
            row for ask in self.asked if f"INSERT INTO {table} " in ask.sql for row in ask.params
        ]

    @property
    def num_read(self) -> int:
        """Statements that asked where items stand."""
        return sum("SELECT conversation" in ask.sql for ask in self.asked)


@pytest.fixture
def database() -> Database:
    """With empty tables."""
    return Database()


@pytest.fixture
def ledger() -> Ledger:
    """Knows nothing yet."""
    return Ledger(max_conversations=3, max_bytes=10**6)


def of(name: str, *changes: Change, begins: bool = False) -> Write:
    """A write to a conversation."""
    return Write(
        principal="mio",
        conversation_id=name,
        model="aoi",
        at=1.0,
        begins=begins,
        changes=changes,
    )


def test_only_what_has_changed_is_written(database: Database, ledger: Ledger) -> None:
    """One item of many; the same one twice is written once."""
    items = [said(f"i{number}", after=f"i{number - 1}") for number in range(50)]
    database.run(ledger, [of("c", *items, begins=True)])
    assert len(database.written("items")) == 50
    database.run(ledger, [of("c", said("i7", "other")), of("c", said("i7", "third"))])
    assert [row[1] for row in database.written("items")] == [key("i7")]
    assert len(database.written("conversations")) == 1
    database.run(ledger, [of("c", SummaryKept("They met."))])
    assert database.written("items") == []


def test_where_items_stand_is_read_once(database: Database, ledger: Ledger) -> None:
    """And again when somebody else has been there, or a transaction has failed."""
    database.run(ledger, [of("c", said("a"), begins=True)])
    database.run(ledger, [of("c", said("b"))])
    assert database.num_read == 0
    database.run(Ledger(max_conversations=3, max_bytes=10**6), [of("c", ItemGone("a"))])
    assert database.num_read == 1
    database.run(ledger, [of("c", said("d", after="b"))])
    assert database.num_read == 1
    ledger.clear()
    database.run(ledger, [of("c", said("e", after="d"))])
    assert database.num_read == 1
    found = database.connection.execute("SELECT id FROM items ORDER BY position").fetchall()
    assert [bytes(name) for (name,) in found] == [b"b", b"d", b"e"]


def test_what_is_remembered_is_bounded(
    database: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were changed long ago are read again."""
    monkeypatch.setattr(ledger_room, "MAX_PLACES", 5)
    for name in "ab":
        database.run(ledger, [of(name, said("0"), said("1"), said("2"), begins=True)])
    database.run(ledger, [of("b", said("3"))])
    assert database.num_read == 0
    database.run(ledger, [of("a", said("3"))])
    assert database.num_read == 1


def test_bytes_are_counted_anew_now_and_then(
    database: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other servers write too."""
    monkeypatch.setattr(ledger_room, "RECOUNT_AFTER", 3)
    counted = []
    for number in range(7):
        database.run(ledger, [of("c", said(f"i{number}"), begins=True)])
        counted.append(any("sum(num_bytes)" in ask.sql for ask in database.asked))
    assert counted == [True, False, True, False, False, True, False]


def test_what_is_erased_is_not_remembered(database: Database, ledger: Ledger) -> None:
    """Its bytes are free; the count of one's own comes back."""
    database.run(ledger, [of(name, said("a"), begins=True) for name in "abc"])
    before = ledger.total
    assert before is not None
    assert database.run(ledger, [Erase("mio", "a")]) == [Outcome(1)]
    assert database.run(ledger, [Erase("mio", "a")]) == [Outcome()]
    assert database.run(ledger, [Erase("eve", "b")]) == [Outcome()]
    assert ledger.total == before * 2 // 3
    assert database.run(ledger, [Erase("mio", None)]) == [Outcome(2)]
    assert ledger.total == 0
    assert database.connection.execute("SELECT count(*) FROM items").fetchone() == (0,)


def names_in(database: Database) -> list[str]:
    """What is kept, last changed last."""
    found = database.connection.execute("SELECT id FROM conversations ORDER BY changed").fetchall()
    return [bytes(name).decode() for (name,) in found]


def test_what_makes_room_in_the_middle_is_gone_for_what_follows(
    database: Database, ledger: Ledger
) -> None:
    """In one transaction as in several: a later write to it is dropped, one that begins is not."""
    writes = [of(name, said("a"), begins=True) for name in "abcd"]
    database.run(ledger, [*writes, of("a", said("b")), of("b", said("b"))])
    assert names_in(database) == ["c", "d", "b"]
    database.run(ledger, [of("a", said("c"), begins=True), of("b", NoteKept("It rains."))])
    assert names_in(database) == ["d", "a", "b"]
    found = database.connection.execute("SELECT id FROM items WHERE conversation = ?", (b"a",))
    assert found.fetchall() == [(b"c",)]


def test_bytes_make_room_whosoever_they_are(database: Database) -> None:
    """The oldest go, as many as it takes, many at once, and what is too large by itself."""
    ledger = Ledger(max_conversations=1000, max_bytes=100 * 2000)
    small = [of(f"c{number}", said("a", "x" * 976), begins=True) for number in range(100)]
    database.run(ledger, small)
    assert len(names_in(database)) == 100
    database.run(ledger, [of("large", said("a", "x" * 90_000), begins=True)])
    assert names_in(database)[0] == "c46"
    database.run(ledger, [of("c99", said("b")), of("huge", said("a", "x" * 300_000), begins=True)])
    assert names_in(database) == []
    assert ledger.total == 0


def test_somebody_elses_is_not_written_to(database: Database, ledger: Ledger) -> None:
    """Nor is what is not there any more."""
    database.run(ledger, [of("c", said("a"), begins=True)])
    foreign = replace(of("c", said("b"), begins=True), principal="eve")
    database.run(ledger, [foreign, of("nowhere", said("a"))])
    assert database.written("items") == []
    assert names_in(database) == ["c"]
