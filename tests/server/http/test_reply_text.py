"""Text and calls of one completion, piece by piece."""

from __future__ import annotations

from engine.request import FinishReason
from engine.tool_dialect import HERMES, ToolCall
from server.http.reply_text import ReplyText
from server.text.tag_dialects import TagText
from server.text.tool_calls import ToolCallParser


def reply_text(*, tools: bool = True) -> ReplyText:
    """A reply of a character with one face and one tool."""
    parser = ToolCallParser(HERMES, ["roll"]) if tools else None
    return ReplyText(TagText(["sad"]), parser, "call_")


def test_held_text_is_shown_before_a_call() -> None:
    """What may have been a tag is none."""
    text = reply_text()
    deltas = text.feed("Hm [sa" + HERMES.write([ToolCall("", "roll", "{}")]))
    assert deltas[0] == {"content": "Hm"}
    assert deltas[1] == {"content": " [sa"}
    assert "tool_calls" in deltas[2]
    assert text.content == "Hm [sa"


def test_a_reply_without_calls_ends_as_the_engine_says() -> None:
    """Only calls change the reason, and only of a reply that is whole."""
    text = reply_text()
    text.feed("Hello")
    assert text.finish_reason(FinishReason.STOP) == "stop"
    text.feed('<tool_call>{"name": "roll", "arguments": {"n": ')
    assert text.finish_reason(FinishReason.STOP) == "tool_calls"
    assert text.finish_reason(FinishReason.LENGTH) == "length"
    assert text.calls == [
        {"id": "call_0", "type": "function", "function": {"name": "roll", "arguments": '{"n": '}}
    ]


def test_half_a_tag_of_a_reply_that_was_cut_off_is_dropped() -> None:
    """Only a text that came to its own end is shown to its last sign."""
    for reason, shown in ((FinishReason.LENGTH, "Hm"), (FinishReason.STOP, "Hm [sa")):
        text = reply_text(tools=False)
        text.feed("Hm [sa")
        text.finish(reason)
        assert text.content == shown


def test_half_a_tag_before_a_stop_string_is_dropped() -> None:
    """The rest of it was never to be seen."""
    text = reply_text(tools=False)
    text.feed("Hm [sa")
    text.finish(FinishReason.STOP, at_stop_string=True)
    assert text.content == "Hm"


def test_without_tools_calls_are_text() -> None:
    """Nothing is looked for."""
    text, written = reply_text(tools=False), HERMES.write([ToolCall("", "roll", "{}")])
    text.feed(written)
    text.finish(FinishReason.STOP)
    assert (text.content, text.calls) == (written, [])
