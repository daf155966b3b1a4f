"""What memory keeps is counted as it is; the rest is in ``test_behaviour``."""

from __future__ import annotations

from server.conversation.changes import ItemGone, NoteKept, SummaryKept
from server.store.layout import OVERHEAD_BYTES
from server.store.memory_store import InMemoryStore
from tests.server.store.rooms import said, write


async def test_bytes_are_counted() -> None:
    """Of texts, and of all that is beside them; nothing is left when all is gone."""
    store = InMemoryStore(max_conversations=10, max_bytes=10**6)
    write(store, "c", said("a"), said("c", after="a"), said("b", after="a"))
    write(store, "c", said("b", "other"), ItemGone("c"), begins=False)
    write(store, "c", said("0"), SummaryKept("They met."), NoteKept("ü"), begins=False)
    assert store.num_bytes == 4 * OVERHEAD_BYTES + len("hellohellootherThey met.") + 2
    assert len(store) == 1
    await store.erase_all("mio")
    assert (len(store), store.num_bytes) == (0, 0)


def test_a_write_is_as_safe_at_once_as_it_will_ever_be() -> None:
    """Nobody has to wait for it."""
    store = InMemoryStore(max_conversations=10, max_bytes=10**6)
    assert write(store, "c", said("a")) is None
