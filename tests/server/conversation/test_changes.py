"""What is written down of a conversation is the conversation, in any order of events."""

from __future__ import annotations

import contextlib
import random

from server.conversation.changes import Change, ItemGone, ItemKept, NoteKept
from server.conversation.conversation import ROOT, Conversation
from server.conversation.entries import Entry
from server.errors import LimitExceeded
from server.protocol.items import ContentPart, MessageItem


def message(
    item_id: str, text: str = "hello", *, role: str = "user", status: str = "completed"
) -> Entry:
    """An item in a conversation."""
    kind = "output_text" if role == "assistant" else "input_text"
    item = MessageItem(
        id=item_id,
        role=role,  # type: ignore[arg-type]
        status=status,
        content=[ContentPart(type=kind, text=text)],  # type: ignore[arg-type]
    )
    return Entry(item, [text] if role == "assistant" else [], len(text))


def conversation() -> Conversation:
    """An empty one."""
    return Conversation("conv_1", max_items=8, max_bytes=1000)


def test_nothing_has_changed_at_first_and_after_it_was_told() -> None:
    """Each change is told once."""
    talk = conversation()
    assert talk.take_changes() == []
    talk.insert(message("a"), None)
    assert len(talk.take_changes()) == 1
    assert talk.take_changes() == []


def test_an_item_comes_with_its_place() -> None:
    """Behind the one before it, or first."""
    talk = conversation()
    talk.insert(message("b"), None)
    talk.insert(message("a"), ROOT)
    changes = talk.take_changes()
    assert [(c.entry.id, c.after) for c in changes if isinstance(c, ItemKept)] == [
        ("a", None),
        ("b", "a"),
    ]


def test_a_reply_is_told_when_it_is_whole() -> None:
    """In the place where it began, whatever was said meanwhile."""
    talk = conversation()
    talk.insert(message("a"), None)
    talk.insert(message("r", "", role="assistant", status="in_progress"), None)
    talk.insert(message("b"), None)
    kept = [c for c in talk.take_changes() if isinstance(c, ItemKept)]
    assert [(c.entry.id, c.after) for c in kept] == [("a", None), ("b", "a")]
    done = message("r", "Hi.", role="assistant").item
    assert isinstance(done, MessageItem)
    talk.finish_reply(done, "[happy] Hi.")
    (change,) = talk.take_changes()
    assert isinstance(change, ItemKept)
    assert (change.entry.id, change.after, change.entry.raw_texts) == ("r", "a", ["[happy] Hi."])


def test_what_is_told_does_not_change_any_more() -> None:
    """A later truncation is a change of its own."""
    talk = conversation()
    talk.insert(message("r", "Hello there.", role="assistant"), None)
    (before,) = talk.take_changes()
    talk.truncate("r", 0, 5)
    (after,) = talk.take_changes()
    assert isinstance(before, ItemKept)
    assert isinstance(after, ItemKept)
    assert before.entry.raw_texts == ["Hello there."]
    assert after.entry.raw_texts == ["Hello"]


def test_what_is_gone_is_told_once() -> None:
    """Deleted, or taken out to make room; also where it was new."""
    talk = conversation()
    talk.insert(message("a"), None)
    talk.take_changes()
    talk.insert(message("b"), None)
    talk.delete("a")
    talk.delete("b")
    assert talk.take_changes() == [ItemGone("a"), ItemGone("b")]


def apply(entries: list[Entry], changes: list[Change]) -> None:
    """Follow the changes, in the simplest way."""
    for change in changes:
        ids = [entry.id for entry in entries]
        if isinstance(change, ItemGone):
            entries[:] = [entry for entry in entries if entry.id != change.item_id]
        elif isinstance(change, ItemKept):
            if change.entry.id in ids:
                entries[ids.index(change.entry.id)] = change.entry
            else:
                place = 0 if change.after is None else ids.index(change.after) + 1
                entries.insert(place, change.entry)


def test_following_the_changes_gives_the_conversation() -> None:
    """Over random histories, looked at now and then."""
    for seed in range(60):
        rng = random.Random(seed)
        talk, kept = conversation(), list[Entry]()
        for number in range(60):
            ids = talk.item_ids
            match rng.randrange(5):
                case 0 | 1:
                    entry = message(f"i{number}", "x" * rng.randrange(1, 9))
                    after = rng.choice([None, None, ROOT, *ids])
                    with contextlib.suppress(LimitExceeded):
                        talk.make_room(entry, keep=after, evict=True)
                        talk.insert(entry, after)
                case 2 if len(ids) < 8:
                    talk.insert(
                        message(f"r{number}", "", role="assistant", status="in_progress"), None
                    )
                case 3 if ids:
                    item_id = rng.choice(ids)
                    if not talk.entry(item_id).is_in_progress:
                        talk.delete(item_id)
                case _:
                    for item_id in ids:
                        if talk.entry(item_id).is_in_progress:
                            item = message(item_id, "done", role="assistant").item
                            assert isinstance(item, MessageItem)
                            talk.finish_reply(item, "done")
            if rng.random() < 0.5:
                apply(kept, talk.take_changes())
                whole = [talk.entry(i) for i in talk.item_ids]
                assert kept == [entry for entry in whole if not entry.is_in_progress]


def test_a_note_is_a_change_of_its_item() -> None:
    """The model reads it there when the conversation is gone on with."""
    talk = conversation()
    talk.insert(message("a"), None)
    talk.take_changes()
    talk.add_note("It rains.")
    (change,) = talk.take_changes()
    assert isinstance(change, ItemKept)
    assert change.entry.note == "It rains."


def test_a_note_before_the_first_item_waits_for_something_that_was_said() -> None:
    """A conversation of nothing but notes is not kept; later the note is told once."""
    talk = conversation()
    talk.add_note("It rains.")
    assert talk.take_changes() == []
    talk.insert(message("r", "", role="assistant", status="in_progress"), None)
    assert talk.take_changes() == []
    talk.insert(message("a"), None)
    note, kept = talk.take_changes()
    assert note == NoteKept("It rains.")
    assert isinstance(kept, ItemKept)
    talk.insert(message("b"), None)
    assert not any(isinstance(change, NoteKept) for change in talk.take_changes())
