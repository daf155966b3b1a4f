"""What is written down can be read by whoever comes later."""

from __future__ import annotations

from dataclasses import fields

import msgspec
import pytest

from server.conversation.entries import Entry
from server.protocol.items import ContentPart, FunctionCallItem, FunctionCallOutputItem, MessageItem
from server.store.kept_entry import decode_entry, encode_entry, title_of
from server.text.tag_rules import TagRules

PART = ContentPart(type="output_text", text="Hi")
ENTRIES = [
    Entry(MessageItem(id="a", role="user", content=[ContentPart(type="input_text", text="Hi")])),
    Entry(
        MessageItem(id="a", role="assistant", content=[PART], status="incomplete"),
        ["[happy]Hi"],
        40,
        note="It rains.",
        tags=TagRules(expressions=("happy",), motions=("wave",), mode="off", every="reply"),
        continues="b",
        turn_id="turn_1",
    ),
    Entry(FunctionCallItem(id="a", name="f", arguments="{", call_id="c", status="incomplete")),
    Entry(FunctionCallOutputItem(id="a", call_id="c", output="\x00")),
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_comes_back(entry: Entry) -> None:
    """With every field."""
    assert decode_entry(encode_entry(entry)) == entry


def test_no_field_of_an_entry_is_forgotten() -> None:
    """Whoever adds one has it kept, and puts it into the entry above."""
    plain = Entry(ENTRIES[1].item)
    alike = [
        field.name
        for field in fields(Entry)
        if getattr(plain, field.name) == getattr(ENTRIES[1], field.name)
    ]
    assert alike == ["item"]


def test_the_form_on_the_disk_stays() -> None:
    """Bytes that the first version wrote; whoever changes them breaks every file there is."""
    old = (
        b'{"item":{"type":"message","id":"a","object":"realtime.item","status":"incomplete",'
        b'"role":"assistant","content":[{"type":"output_text","text":"Hi"}]},'
        b'"raw_texts":["[happy]Hi"],"num_bytes":40,"note":"It rains.",'
        b'"tags":{"expressions":["happy"],"motions":["wave"],"mode":"off","every":"reply"},'
        b'"continues":"b","turn_id":"turn_1"}'
    )
    assert encode_entry(ENTRIES[1]) == old
    assert decode_entry(old) == ENTRIES[1]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"item":{"type":"bird"}}', b"\xff"])
def test_what_is_no_entry_is_refused(body: bytes) -> None:
    """Nothing is made up."""
    with pytest.raises(msgspec.DecodeError):
        decode_entry(body)


def test_only_the_user_gives_a_title() -> None:
    """Whatever else was said."""
    assert [title_of(entry) for entry in ENTRIES] == ["Hi", None, None, None]
