"""A session begins with a conversation that was kept, and says what becomes of it."""

from __future__ import annotations

from server.conversation.changes import ItemGone, ItemKept, SummaryKept
from server.session.context import SessionContext
from tests.server.talk import Talk, types


def test_a_conversation_that_is_not_there_is_told_right_after_the_greeting() -> None:
    """The session goes on with a new one."""
    talk = Talk(context=SessionContext(missing_conversation="conv_x"))
    created, error = talk.open()
    assert created["session"]["conversation"] == {"id": "conv_t", "num_items": 0}
    assert (error["error"]["code"], error["error"]["param"]) == (
        "conversation_not_found",
        "conversation",
    )
    assert "'conv_x'" in error["error"]["message"]


def test_what_was_kept_is_not_sent_again() -> None:
    """But can be asked for, and new items get names of their own."""
    old = Talk()
    old.user("hello")
    old.reply("Hi.")
    changes = old.session.take_changes()
    entries = [change.entry for change in changes if isinstance(change, ItemKept)]
    talk = Talk()
    talk.session.restore("conv_old", entries, "They met.")
    (created,) = talk.open()
    assert created["session"]["conversation"] == {"id": "conv_old", "num_items": 2}
    (retrieved,) = talk.say("conversation.item.retrieve", item_id=entries[1].id)
    assert retrieved["item"]["content"][0]["text"] == "Hi."
    added, _ = talk.user("again")
    assert added["item"]["id"] not in {entry.id for entry in entries}
    assert added["previous_item_id"] == entries[1].id
    talk.ask()
    assert talk.generates[0].conversation_id == "conv_old"
    assert talk.generates[0].summary == "They met."


def test_changes_are_told_once() -> None:
    """Items, deletions, and the summary as soon as there is something to sum up."""
    talk = Talk()
    memory = {"character": {"memory": {"summary": "They met."}}}
    assert types(talk.say("session.update", session=memory)) == ["session.updated"]
    assert talk.session.take_changes() == []
    talk.user("hello", id="a")
    kept, summary = talk.session.take_changes()
    assert isinstance(kept, ItemKept)
    assert summary == SummaryKept("They met.")
    talk.say("conversation.item.delete", item_id="a")
    assert talk.session.take_changes() == [ItemGone("a")]
    assert talk.session.take_changes() == []
