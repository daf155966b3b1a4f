"""What every store does, whatever keeps the conversations."""

from __future__ import annotations

import asyncio

import pytest

from server.conversation.changes import ItemGone, ItemKept, NoteKept, SummaryKept
from server.conversation.entries import Entry
from server.errors import ConversationGone, ConversationNotFound, ConversationTaken
from server.protocol.items import ContentPart, FunctionCallItem, MessageItem
from server.store.kept_entry import MAX_TITLE
from server.store.layout import GAP, OVERHEAD_BYTES
from server.store.memory_store import InMemoryStore
from server.text.tag_rules import TagRules
from tests.server.store.rooms import Histories, Stores, everything, items_of, said, write

pytestmark = [pytest.mark.wire(only="uvloop")]  # threads and sockets keep real time


async def test_a_conversation_is_read_as_it_was_written(stores: Stores) -> None:
    """Items in their places, replaced and gone; summary, note, times and names."""
    async with stores.open() as store:
        write(store, "c", said("a"), said("c", after="a"), said("b", after="a"), at=5.0)
        write(store, "c", said("b", "other"), ItemGone("c"), begins=False, at=7.0)
        last = (said("0"), SummaryKept("They met."), NoteKept("It rains."))
        write(store, "c", *last, begins=False, at=9.0)
        await store.flush()
        kept = await store.load("mio", "c")
    assert [entry.id for entry in kept.entries] == ["0", "a", "b"]
    assert (kept.summary, kept.note) == ("They met.", "It rains.")
    head = kept.head
    assert (head.id, head.model, head.created_at, head.updated_at) == ("c", "aoi", 5.0, 9.0)
    assert (head.num_items, head.title) == (3, "hello")
    item = kept.entries[2].item
    assert isinstance(item, MessageItem)
    assert item.content[0].text == "other"


async def test_an_entry_comes_back_whole(stores: Stores) -> None:
    """With what the model reads, what is noted, and which tags there may be."""
    item = MessageItem(
        id="a",
        role="assistant",
        status="incomplete",
        content=[ContentPart(type="output_audio", transcript="Hi \x00 👍")],
        character_id="ren",
    )
    tags = TagRules(expressions=("happy",), motions=("wave",), mode="enforced", every="reply")
    entry = Entry(item, ["[happy]Hi \x00 👍"], 30, note="It rains.", tags=tags, continues="b")
    async with stores.open() as store:
        write(store, "c", ItemKept(entry, None))
        assert (await store.load("mio", "c")).entries == (entry,)


async def test_an_item_whose_neighbour_is_gone_goes_to_the_end(stores: Stores) -> None:
    """As where two sockets go on with one conversation."""
    async with stores.open() as store:
        write(store, "c", said("a"), said("b", after="a"), said("d", after="nowhere"))
        assert [e.id for e in (await store.load("mio", "c")).entries] == ["a", "b", "d"]


async def test_there_is_always_room_between_two_items(stores: Stores) -> None:
    """However often something is put in the same place."""
    names = [f"i{number}" for number in range(GAP.bit_length() + 5)]
    async with stores.open() as store:
        write(store, "c", said("first"), said("last", after="first"))
        for name in names:
            write(store, "c", said(name, after="first"), begins=False)
        write(store, "c", said("end", after="last"), begins=False)
        kept = await store.load("mio", "c")
    assert [entry.id for entry in kept.entries] == ["first", *reversed(names), "last", "end"]


@pytest.mark.parametrize("conversation_id", ["c", "nowhere", "\x00", "\udc80"])
async def test_what_is_somebody_elses_is_not_found(stores: Stores, conversation_id: str) -> None:
    """Neither to be read, nor listed from, erased or written to."""
    async with stores.open() as store:
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
        assert await store.erase_all("eve") == 0
        assert [one async for one in store.export("eve")] == []


async def test_a_list_has_pages_last_changed_first(stores: Stores) -> None:
    """Each begins behind the one before."""
    async with stores.open() as store:
        for name in "abcd":
            write(store, name, said(name))
        write(store, "b", said("x"), begins=False)
        page = await store.list("mio", limit=2)
        assert ([head.id for head in page.conversations], page.has_more) == (["b", "d"], True)
        page = await store.list("mio", limit=2, after="d")
        assert ([head.id for head in page.conversations], page.has_more) == (["c", "a"], False)


async def test_what_was_erased_does_not_come_back(stores: Stores) -> None:
    """A session that still goes on writes to nothing."""
    async with stores.open() as store:
        write(store, "c", said("a"))
        await store.erase("mio", "c")
        write(store, "c", said("b"), begins=False)
        with pytest.raises(ConversationNotFound):
            await store.load("mio", "c")
        with pytest.raises(ConversationNotFound):
            await store.erase("mio", "c")


async def test_all_of_somebodys_is_erased(stores: Stores) -> None:
    """And nobody else's."""
    async with stores.open() as store:
        for name in "abc":
            write(store, name, said(name))
        write(store, "other", said("o"), principal="eve")
        assert await store.erase_all("mio") == 3
        assert (await store.list("mio", limit=5)).conversations == ()
        assert (await store.load("eve", "other")).head.num_items == 1


async def test_all_of_somebodys_is_exported(stores: Stores) -> None:
    """More than fit into one page, each whole; what is erased meanwhile is left out."""
    async with stores.open(max_conversations=200) as store:
        for number in range(103):
            write(store, f"c{number}", said("a", f"text {number}"), SummaryKept("s"))
        write(store, "other", said("o"), principal="eve")
        found = [one async for one in store.export("mio")]
        assert {one.head.title for one in found} == {f"text {number}" for number in range(103)}
        assert all(len(one.entries) == 1 and one.summary == "s" for one in found)
        left = []
        async for one in store.export("mio"):
            left.append(one.head.id)
            await store.erase_all("mio")
        assert len(left) == 1


async def test_the_least_recently_changed_makes_room(stores: Stores) -> None:
    """Within what one person may keep; others are not touched, and clocks do not count."""
    async with stores.open(max_conversations=2) as store:
        write(store, "other", said("o"), principal="eve")
        write(store, "a", said("a"), at=9.0)
        write(store, "b", said("b"), at=8.0)
        write(store, "a", said("x"), begins=False, at=7.0)
        write(store, "c", said("c"), at=6.0)
        write(store, "b", said("x"), begins=False, at=9.0)
        heads = (await store.list("mio", limit=5)).conversations
        assert [head.id for head in heads] == ["c", "a"]
        assert (await store.load("eve", "other")).head.num_items == 1


async def test_bytes_are_bounded_for_all_together(stores: Stores) -> None:
    """Whoever's is oldest goes; one that is too large by itself is not kept."""
    async with stores.open(max_bytes=4 * OVERHEAD_BYTES + 100) as store:
        write(store, "a", said("a"), principal="eve")
        write(store, "b", said("b"))
        write(store, "c", said("c", "x" * 90))
        assert (await store.list("eve", limit=5)).conversations == ()
        assert [head.id for head in (await store.list("mio", limit=5)).conversations] == ["c", "b"]
        write(store, "d", said("d", "x" * 5000))
        assert (await store.list("mio", limit=5)).conversations == ()


async def test_a_title_is_the_beginning_of_what_the_user_said(stores: Stores) -> None:
    """On one line, and not longer than a list has room for."""
    call = ItemKept(Entry(FunctionCallItem(id="f", name="f", arguments="{}")), None)
    async with stores.open() as store:
        write(store, "c", call)
        assert (await store.load("mio", "c")).head.title == ""
        write(store, "c", said("a", "Hello,\n  there " + "x" * 100, after="f"), begins=False)
        title = (await store.load("mio", "c")).head.title
    assert title.startswith("Hello, there xxx")
    assert (len(title), title[-1]) == (MAX_TITLE, "…")


async def test_only_what_is_kept_is_acknowledged(stores: Stores) -> None:
    """What was written to a conversation that is erased, or somebody else's, is told as gone."""
    async with stores.open() as store:
        write(store, "c", said("a"))
        write(store, "d", said("a"))
        await store.erase("mio", "d")
        futures = [
            write(store, "c", said("b"), begins=False),
            write(store, "c", said("b"), principal="eve"),
            write(store, "d", said("b"), begins=False),
        ]
        told = await asyncio.gather(
            *(future for future in futures if future is not None), return_exceptions=True
        )
        assert [type(one) for one in told[-2:]] == [ConversationGone] * 2
        assert (await store.load("mio", "c")).head.num_items == 2


async def test_whoever_takes_a_conversation_over_writes_alone(stores: Stores) -> None:
    """What was handed over before is read; what others hand over later is refused, and not kept."""
    async with stores.open() as store:
        write(store, "c", said("a"), writer="one")
        kept = await store.take_over("mio", "c", "two")
        assert [entry.id for entry in kept.entries] == ["a"]
        late = write(store, "c", said("b"), begins=False, writer="one")
        assert late is not None
        with pytest.raises(ConversationTaken):
            await late
        write(store, "c", said("d", after="a"), begins=False, writer="two")
        for principal, name in (("eve", "c"), ("mio", "x")):
            with pytest.raises(ConversationNotFound):
                await store.take_over(principal, name, "three")
        write(store, "c", said("e", after="d"), begins=False, writer="two")
        await store.flush()
        assert await items_of(store, "c") == ["a", "d", "e"]


@pytest.mark.parametrize("seed", range(3))
async def test_any_history_is_kept_as_in_memory(stores: Stores, seed: int) -> None:
    """Random writes and erasures, few and many at once, within tight limits, over two lives."""
    limits = {"max_conversations": 3, "max_bytes": 12_000}
    model = InMemoryStore(**limits)
    histories = Histories(seed)
    for _life in range(2):
        async with stores.open(**limits) as store:
            if stores.kind == "memory":
                model = InMemoryStore(**limits)
                histories = Histories(seed)
            for number in range(120):
                change = histories.next()
                model.append(change)
                store.append(change)
                if number % 11 == seed:
                    await store.flush()
                if number % 40 == 39:
                    assert await everything(store) == await everything(model)
                    name = f"conv_{(number + seed) % 6}"
                    gone = await asyncio.gather(
                        *(one.erase("mio", name) for one in (store, model)), return_exceptions=True
                    )
                    assert type(gone[0]) is type(gone[1])
            assert await everything(store) == await everything(model)
