"""Which item of a client's is one that is here already."""

from __future__ import annotations

import pytest

from server.conversation.entries import Entry
from server.conversation.items import accept_item
from server.conversation.retries import is_sent_again, reply_of
from server.protocol.items import (
    ContentPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    Item,
    MessageItem,
)
from server.text.tag_rules import TagRules

TAGS = TagRules(expressions=("happy",))


def accepted(item: Item) -> Entry:
    """An entry as a session makes it."""
    return accept_item(item, item_id="i", tags=TAGS, max_bytes=1000, path="item")


def said(text: str, role: str = "user", kind: str = "text") -> MessageItem:
    """A message as a client sends it."""
    return MessageItem(role=role, content=[ContentPart(type=kind, text=text)])  # type: ignore[arg-type]


CALL = FunctionCallItem(name="f", arguments="{}", call_id="c")
RESULT = FunctionCallOutputItem(call_id="c", output="5")


@pytest.mark.parametrize("item", [said("hi"), said("hi", "system"), CALL, RESULT])
def test_the_same_content_is_the_same_item(item: Item) -> None:
    """Every kind is known again."""
    assert is_sent_again(accepted(item), accepted(item))


def test_parts_are_compared_as_they_were_accepted() -> None:
    """``text`` and ``input_text`` are two names of one kind."""
    assert is_sent_again(accepted(said("hi")), accepted(said("hi", kind="input_text")))


@pytest.mark.parametrize(
    ("known", "sent"),
    [
        (said("hi"), said("ho")),
        (said("hi"), said("hi", "system")),
        (said("hi"), CALL),
        (CALL, FunctionCallItem(name="f", arguments="{ }", call_id="c")),
        (CALL, FunctionCallItem(name="f", arguments="{}", call_id="d")),
        (RESULT, FunctionCallOutputItem(call_id="c", output="6")),
        (said("[happy] Yes.", "assistant"), said("No.", "assistant")),
    ],
)
def test_other_content_is_another_item(known: Item, sent: Item) -> None:
    """A difference in anything that was said counts."""
    assert not is_sent_again(accepted(known), accepted(sent))


def test_an_assistants_words_are_known_with_and_without_their_tags() -> None:
    """A client sends what it once sent, or what it heard."""
    known = accepted(said("[happy] Yes.", "assistant"))
    assert is_sent_again(known, accepted(said("[happy] Yes.", "assistant")))
    assert is_sent_again(known, accepted(said("Yes.", "assistant")))


def test_clean_text_is_known_where_cleaning_it_again_would_change_it() -> None:
    """A client sends the very words that it was told."""
    known = accepted(said("x", "assistant"))
    known.item = MessageItem(
        id="i", role="assistant", content=[ContentPart(type="output_text", text="[happy] Yes.")]
    )
    assert is_sent_again(known, accepted(said("[happy] Yes.", "assistant")))


def test_an_assistants_words_are_known_under_other_tag_rules() -> None:
    """What counts as a tag may have changed since."""
    known = accepted(said("[happy] Yes.", "assistant"))
    item = said("[happy] Yes.", "assistant")
    sent = accept_item(item, item_id="i", tags=TagRules(), max_bytes=1000, path="item")
    assert is_sent_again(known, sent)


def test_a_note_behind_an_item_does_not_make_it_another() -> None:
    """It is the server's own."""
    known = accepted(said("hi"))
    known.add_note("It rains.")
    assert is_sent_again(known, accepted(said("hi")))


def test_what_is_being_written_is_nobodys_to_send() -> None:
    """Its words are not there yet."""
    known = Entry(MessageItem(id="i", role="assistant", content=[], status="in_progress"))
    assert not is_sent_again(known, accepted(MessageItem(role="assistant", content=[])))


def test_a_turn_finds_its_reply_in_order() -> None:
    """And nothing of any other."""
    entries = [accepted(said(text, "assistant")) for text in "abc"]
    entries[0].turn_id = entries[2].turn_id = "t"
    assert reply_of(entries, "t") == [entries[0], entries[2]]
    assert reply_of(entries, "u") == []
