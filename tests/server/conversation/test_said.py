"""What is asked of a conversation's items."""

from __future__ import annotations

from engine.chat_template import ChatMessage
from server.conversation.entries import Entry
from server.conversation.said import length_behind, questions, spoken
from server.protocol.items import ContentPart, FunctionCallItem, MessageItem, Role


def entry(item_id: str, text: str, role: Role = "user", note: str = "") -> Entry:
    """One message; an assistant's has a tag that only the model reads."""
    item = MessageItem(id=item_id, role=role, content=[ContentPart(type="text", text=text)])
    made = Entry(item, [f"[happy]{text}"] if role == "assistant" else [])
    made.add_note(note)
    return made


TALK = [
    entry("s", "be", "system"),
    entry("a", "who?", note="It is dark."),
    entry("e", ""),
    Entry(FunctionCallItem(id="f", name="look", arguments="{}", call_id="c")),
    entry("b", "Me.", "assistant"),
    entry("c", "you?"),
]


def test_what_was_spoken_is_clean_and_without_notes() -> None:
    """Words of user and assistant; system items, calls and empty messages are none."""
    assert spoken(TALK) == [
        ChatMessage("user", "who?"),
        ChatMessage("assistant", "Me."),
        ChatMessage("user", "you?"),
    ]


def test_the_newest_questions_are_named() -> None:
    """As many as asked for, or all there are; those without words do not count."""
    assert questions(TALK) == questions(TALK, 9) == ["a", "c"]
    assert questions(TALK, 1) == ["c"]
    assert questions(TALK, 0) == []


def test_the_length_behind_an_item_is_what_the_model_reads_there() -> None:
    """Its own note does not count, tags and later notes do."""
    assert length_behind(TALK, "a") == len("[happy]Me.") + len("you?")
    assert length_behind(TALK, "s") == len("who?It is dark.[happy]Me.you?")
    assert length_behind(TALK, "c") == 0
    assert length_behind(TALK, "gone") is None
