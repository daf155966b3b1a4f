"""Stores of every kind, and what is written into them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from server.conversation.changes import Change, ItemGone, ItemKept, NoteKept, SummaryKept
from server.conversation.entries import Entry
from server.errors import ConversationGone, ConversationTaken, StoreFailed
from server.protocol.items import ContentPart, FunctionCallItem, MessageItem
from server.store.interface import ConversationStore, StoredConversation, Write
from server.store.memory_store import InMemoryStore
from server.store.postgres_store import PostgresStore
from server.store.sqlite_store import SqliteStore
from server.text.tag_rules import TagRules
from tests.support.postgres import PostgresCluster


def said(item_id: str, text: str = "hello", after: str | None = None) -> ItemKept:
    """A message of the user's."""
    item = MessageItem(id=item_id, role="user", content=[ContentPart(type="input_text", text=text)])
    return ItemKept(Entry(item, [], len(text.encode())), after)


def write(
    store: ConversationStore,
    conversation_id: str,
    *changes: Change,
    principal: str = "mio",
    at: float = 1.0,
    begins: bool = True,
    writer: str = "",
) -> asyncio.Future[None] | None:
    """Hand changes over."""
    return store.append(
        Write(
            principal=principal,
            conversation_id=conversation_id,
            model="aoi",
            at=at,
            begins=begins,
            changes=changes,
            writer=writer,
        )
    )


class Stores:
    """Opens stores of one kind; a second one sees what the first has kept."""

    def __init__(self, kind: str, folder: Path, dsn: str | None) -> None:
        self.kind = kind
        self.file = folder / "kept" / "conversations.db"
        self._dsn_file = folder / "dsn"
        if dsn is not None:
            self._dsn_file.write_text(dsn)

    @property
    def place(self) -> Path:
        """What another process needs to open the same."""
        return self.file if self.kind == "sqlite" else self._dsn_file

    @contextlib.asynccontextmanager
    async def open(
        self, max_conversations: int = 10, max_bytes: int = 10**6, **options: Any
    ) -> AsyncIterator[ConversationStore]:
        """One that is started, until the block ends."""
        limits = {"max_conversations": max_conversations, "max_bytes": max_bytes, **options}
        store: ConversationStore
        if self.kind == "memory":
            store = InMemoryStore(**limits)
        elif self.kind == "sqlite":
            store = SqliteStore(self.file, **{"durability": "normal", **limits})
        else:
            store = PostgresStore(self._dsn_file, **limits)
        await store.start()
        try:
            yield store
        finally:
            await store.aclose()


async def make_schema(cluster: PostgresCluster, schema: str) -> str:
    """Make an empty schema; returns the address of a database that is only that."""
    connection = await asyncpg.connect(cluster.dsn(schema))
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
    finally:
        await connection.close()
    return cluster.dsn(schema)


class Histories:
    """Random writes of several people, as sessions make them; the same for the same seed."""

    def __init__(self, seed: int, *, num_conversations: int = 6) -> None:
        self._random = random.Random(seed)
        self._names = [f"conv_{number}" for number in range(num_conversations)]
        self._begun: set[str] = set()
        self._count = 0

    def next(self) -> Write:
        """What is handed over next."""
        dice = self._random
        name = dice.choice(self._names)
        begins = name not in self._begun or dice.random() < 0.05
        self._begun.add(name)
        self._count += 1
        return Write(
            principal="mio" if int(name[-1]) % 3 else "eve",
            conversation_id=name,
            model=dice.choice(["aoi", "ren"]),
            at=float(dice.randrange(1000)),
            begins=begins,
            changes=[self._change() for _ in range(dice.randrange(1, 5))],
        )

    def _change(self) -> Change:
        dice = self._random
        item_id = f"i{dice.randrange(12)}"
        other = dice.choice([None, f"i{dice.randrange(12)}"])
        match dice.randrange(10):
            case 0 | 1:
                return ItemGone(item_id)
            case 2:
                return SummaryKept(self._text())
            case 3:
                return NoteKept(self._text())
            case 4:
                call = FunctionCallItem(id=item_id, name="f", arguments="{}", call_id="c")
                return ItemKept(Entry(call, [], 3, continues="i1"), other)
            case 5 | 6:
                text = self._text()
                part = ContentPart(type="output_text", text=text)
                item = MessageItem(id=item_id, role="assistant", content=[part])
                tags = TagRules(expressions=("happy",), mode="enforced", every="reply")
                raw = [f"[happy]{text}"]
                entry = Entry(item, raw, len(raw[0].encode()), tags=tags)
                entry.add_note(self._text())
                return ItemKept(entry, other)
            case _:
                return said(item_id, self._text(), other)

    def _text(self) -> str:
        letters = ["a", " ", "\n", "é", "語", "👍", "\x00", '"', "\\", "𝄞"]
        return "".join(self._random.choices(letters, k=self._random.randrange(40)))


async def everything(
    store: ConversationStore, principals: Sequence[str] = ("mio", "eve")
) -> dict[str, list[StoredConversation]]:
    """All that is kept, last changed first."""
    found: dict[str, list[StoredConversation]] = {}
    for principal in principals:
        page = await store.list(principal, limit=100)
        found[principal] = [await store.load(principal, head.id) for head in page.conversations]
        assert [one.head for one in found[principal]] == [*page.conversations]
    return found


async def outcome(future: asyncio.Future[None] | None) -> str:
    """What became of a write that a database keeps: nothing, or why it was not kept."""
    assert future is not None
    try:
        await future
    except (StoreFailed, ConversationTaken, ConversationGone) as error:
        return error.message
    return ""


async def items_of(store: ConversationStore, name: str) -> list[str]:
    """Ids, in order."""
    return [entry.id for entry in (await store.load("mio", name)).entries]
