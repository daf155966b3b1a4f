"""What can be cut to what was heard."""

from __future__ import annotations

import pytest

from server.conversation.truncation import check_truncation, refuse_in_progress
from server.errors import InvalidValue, ProtocolError
from server.protocol.items import ContentPart, FunctionCallItem, MessageItem

SAID = MessageItem(
    id="a",
    role="assistant",
    content=[
        ContentPart(type="output_text", text="Hi you"),
        ContentPart(type="output_audio", transcript="Bye"),
    ],
)


def test_a_reply_can_be_cut_anywhere_in_its_text() -> None:
    """From nothing to all of it; of audio only the whole transcript can go."""
    assert check_truncation(SAID, 0, 0) is SAID
    assert check_truncation(SAID, 0, 6) is SAID
    assert check_truncation(SAID, 1, None) is SAID


@pytest.mark.parametrize(
    ("index", "end", "field"),
    [(2, 0, "content_index"), (-1, 0, "content_index"), (0, 7, "text_end"), (0, -1, "text_end"),
     (0, None, "audio_end_ms")],
)  # fmt: skip
def test_what_is_not_there_cannot_be_cut(index: int, end: int | None, field: str) -> None:
    """The field at fault is named."""
    with pytest.raises(InvalidValue) as caught:
        check_truncation(SAID, index, end)
    assert caught.value.param == field


def test_only_an_assistants_message_can_be_cut() -> None:
    """Neither a user's nor a call."""
    asked = MessageItem(id="u", role="user", content=[ContentPart(type="input_text", text="hi")])
    for item in (asked, FunctionCallItem(id="f", name="look", arguments="{}")):
        with pytest.raises(InvalidValue, match="only an assistant's message"):
            check_truncation(item, 0, 0)


def test_an_item_that_is_being_written_is_left_alone() -> None:
    """Until its response has ended."""
    writing = MessageItem(id="a", role="assistant", content=[], status="in_progress")
    with pytest.raises(ProtocolError, match=r"wait for its response.done") as caught:
        refuse_in_progress(writing)
    assert caught.value.code == "item_in_progress"
    refuse_in_progress(SAID)
