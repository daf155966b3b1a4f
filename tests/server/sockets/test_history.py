"""What a session's conversation becomes is handed to the store, from its first item on."""

from __future__ import annotations

from server.sockets.history import History
from server.store.memory_store import InMemoryStore
from tests.server.talk import Talk


def make() -> tuple[Talk, InMemoryStore, History]:
    """A session that is kept."""
    talk, store = Talk(), InMemoryStore(max_conversations=5, max_bytes=10**6)
    return talk, store, History(talk.session, store, "mio", clock=lambda: talk.now)


async def test_a_turn_is_kept() -> None:
    """Both items, and the summary, under the session's own names."""
    talk, store, history = make()
    history.keep()
    assert len(store) == 0
    talk.user("hello")
    history.keep()
    talk.reply("Hi.")
    history.keep()
    talk.carry_out(talk.session.summarised("They met.", 20, 10))
    history.keep()
    kept = await store.load("mio", talk.session.conversation.id)
    assert [entry.id for entry in kept.entries] == talk.session.conversation.item_ids
    assert kept.entries[1].raw_texts == ["Hi."]
    assert history.keep() is None
    assert (kept.summary, kept.head.model, kept.head.updated_at) == ("They met.", "aoi", talk.now)


def test_a_session_in_which_nothing_was_said_is_not_kept() -> None:
    """A setting alone is no conversation."""
    talk, store, history = make()
    talk.say("session.update", session={"character": {"memory": {"summary": "They met."}}})
    history.keep()
    assert len(store) == 0
    talk.user("hello")
    history.keep()
    assert len(store) == 1


async def test_what_was_erased_meanwhile_stays_erased() -> None:
    """Only the first write begins a conversation."""
    talk, store, history = make()
    talk.user("hello")
    history.keep()
    await store.erase("mio", talk.session.conversation.id)
    talk.user("again")
    history.keep()
    assert len(store) == 0


async def test_a_conversation_is_gone_on_with() -> None:
    """Its items are there, its summary holds, and what is said goes behind it."""
    talk, store, history = make()
    talk.user("hello")
    talk.reply("Hi.")
    talk.carry_out(talk.session.summarised("They met.", 20, 10))
    history.keep()
    stored = await store.take_over("mio", talk.session.conversation.id, "sess_u")

    later = Talk()
    later.session.id = "sess_u"
    later.session.restore(stored.head.id, stored.entries, stored.summary)
    (created,) = later.open()
    assert created["session"]["conversation"] == {"id": stored.head.id, "num_items": 2}
    assert created["session"]["character"]["memory"]["summary"] == "They met."
    again = History(later.session, store, "mio", is_known=True, clock=lambda: 900.0)
    again.keep()
    assert (await store.load("mio", stored.head.id)).head.updated_at == talk.now
    later.user("and now?", id="item_new")
    later.ask()
    again.keep()
    assert [message.content for message in later.generates[0].messages] == [
        "You are Aoi.",
        "hello",
        "Hi.",
        "and now?",
    ]
    assert later.generates[0].summary == "They met."
    kept = await store.load("mio", stored.head.id)
    assert [entry.id for entry in kept.entries][-1] == "item_new"
    assert kept.head.num_items == 3


def test_without_a_store_nothing_piles_up() -> None:
    """Changes are taken all the same."""
    talk = Talk()
    talk.user("hello")
    History(talk.session, None, "mio").keep()
    assert talk.session.take_changes() == []
