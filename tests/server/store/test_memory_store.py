"""Conversations are kept for their owner alone, within bounds."""

from __future__ import annotations

import pytest

from server.conversation.changes import Change, ItemGone, ItemKept, SummaryKept
from server.conversation.entries import Entry
from server.errors import ConversationNotFound
from server.protocol.items import ContentPart, FunctionCallItem, MessageItem
from server.store.interface import ConversationStore, Write
from server.store.memory_store import MAX_TITLE, OVERHEAD_BYTES, InMemoryStore


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
) -> None:
    """Hand changes over."""
    store.append(
        Write(
            principal=principal,
            conversation_id=conversation_id,
            model="aoi",
            at=at,
            begins=begins,
            changes=changes,
        )
    )


def make(max_conversations: int = 10, max_bytes: int = 10**6) -> InMemoryStore:
    """An empty one."""
    return InMemoryStore(max_conversations=max_conversations, max_bytes=max_bytes)


async def test_a_conversation_is_read_as_it_was_written() -> None:
    """Items in their places, replaced and gone; the summary; times and names."""
    store = make()
    write(store, "c", said("a"), said("c", after="a"), said("b", after="a"), at=5.0)
    write(store, "c", said("b", "other"), ItemGone("c"), begins=False, at=7.0)
    write(store, "c", said("0"), SummaryKept("They met."), begins=False, at=9.0)
    await store.flush()
    kept = await store.load("mio", "c")
    assert [entry.id for entry in kept.entries] == ["0", "a", "b"]
    assert store.num_bytes == 4 * OVERHEAD_BYTES + len("hellohellootherThey met.")
    assert kept.summary == "They met."
    head = kept.head
    assert (head.id, head.model, head.created_at, head.updated_at) == ("c", "aoi", 5.0, 9.0)
    assert (head.num_items, head.title) == (3, "hello")
    item = kept.entries[2].item
    assert isinstance(item, MessageItem)
    assert item.content[0].text == "other"


async def test_an_item_whose_neighbour_is_gone_goes_to_the_end() -> None:
    """As where two sockets go on with one conversation."""
    store = make()
    write(store, "c", said("a"), said("b", after="a"), said("d", after="nowhere"))
    assert [e.id for e in (await store.load("mio", "c")).entries] == ["a", "b", "d"]


@pytest.mark.parametrize("conversation_id", ["c", "nowhere"])
async def test_what_is_somebody_elses_is_not_found(conversation_id: str) -> None:
    """Neither to be read, nor listed from, erased or written to."""
    store = make()
    write(store, "c", said("a"))
    for attempt in (
        store.load("eve", conversation_id),
        store.erase("eve", conversation_id),
        store.list("eve", limit=5, after=conversation_id),
    ):
        with pytest.raises(ConversationNotFound) as caught:
            await attempt
        assert caught.value.code == "conversation_not_found"
    write(store, "c", said("b"), principal="eve", begins=False)
    write(store, "c", said("b"), principal="eve")
    assert (await store.load("mio", "c")).head.num_items == 1
    assert (await store.list("eve", limit=5)).conversations == ()


async def test_a_list_has_pages_last_changed_first() -> None:
    """Each begins behind the one before."""
    store = make()
    for name in "abcd":
        write(store, name, said(name))
    write(store, "b", said("x"), begins=False)
    page = await store.list("mio", limit=2)
    assert ([head.id for head in page.conversations], page.has_more) == (["b", "d"], True)
    page = await store.list("mio", limit=2, after="d")
    assert ([head.id for head in page.conversations], page.has_more) == (["c", "a"], False)


async def test_what_was_erased_does_not_come_back() -> None:
    """A session that still goes on writes to nothing."""
    store = make()
    write(store, "c", said("a"))
    await store.erase("mio", "c")
    write(store, "c", said("b"), begins=False)
    with pytest.raises(ConversationNotFound):
        await store.load("mio", "c")
    assert (len(store), store.num_bytes) == (0, 0)


async def test_the_least_recently_changed_makes_room() -> None:
    """Within what one person may keep; others are not touched."""
    store = make(max_conversations=2)
    write(store, "other", said("o"), principal="eve")
    write(store, "a", said("a"))
    write(store, "b", said("b"))
    write(store, "a", said("x"), begins=False)
    write(store, "c", said("c"))
    heads = (await store.list("mio", limit=5)).conversations
    assert [head.id for head in heads] == ["c", "a"]
    assert len(store) == 3


async def test_bytes_are_bounded_for_all_together() -> None:
    """Whoever's is oldest goes; one that is too large by itself is not kept."""
    store = make(max_bytes=4 * OVERHEAD_BYTES + 100)
    write(store, "a", said("a"), principal="eve")
    write(store, "b", said("b"))
    write(store, "c", said("c", "x" * 90))
    assert (await store.list("eve", limit=5)).conversations == ()
    assert [head.id for head in (await store.list("mio", limit=5)).conversations] == ["c", "b"]
    assert store.num_bytes == 4 * OVERHEAD_BYTES + 95
    write(store, "d", said("d", "x" * 5000))
    assert (len(store), store.num_bytes) == (0, 0)


async def test_a_title_is_the_beginning_of_what_the_user_said() -> None:
    """On one line, and not longer than a list has room for."""
    store = make()
    call = ItemKept(Entry(FunctionCallItem(id="f", name="f", arguments="{}")), None)
    write(store, "c", call)
    assert (await store.load("mio", "c")).head.title == ""
    write(store, "c", said("a", "Hello,\n  there " + "x" * 100, after="f"), begins=False)
    title = (await store.load("mio", "c")).head.title
    assert title.startswith("Hello, there xxx")
    assert (len(title), title[-1]) == (MAX_TITLE, "…")
