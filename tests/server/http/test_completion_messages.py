"""Messages of a chat completion: roles, calls and results."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.chat_template import ChatMessage
from engine.tool_dialect import ToolCall
from server.http.completion_messages import MessageBody, read_messages
from server.http.refusals import HttpRefusal


def read(*messages: dict[str, Any]) -> list[ChatMessage]:
    """Read messages as they come in JSON."""
    return read_messages(msgspec.convert(list(messages), list[MessageBody]))


def call(call_id: str = "c", name: str = "roll") -> dict[str, Any]:
    """A call as a completion gives it out."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def test_roles_become_those_that_templates_know() -> None:
    """An elder function's result counts as the user's side."""
    assert read(
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "u"},
        {"role": "function", "name": "f", "content": "f"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ) == [
        ChatMessage("system", "d"),
        ChatMessage("user", "u"),
        ChatMessage("user", "f"),
        ChatMessage("assistant", "no"),
    ]


def test_calls_and_their_results_know_each_other() -> None:
    """A result is given its tool's name, which some templates show."""
    assert read(
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b", "look")]},
        {"role": "tool", "content": "4", "tool_call_id": "a"},
        {"role": "tool", "content": [{"type": "text", "text": ""}], "tool_call_id": "b"},
        {"role": "tool", "content": "?", "tool_call_id": "gone"},
    )[1:] == [
        ChatMessage("assistant", "", (ToolCall("a", "roll", "{}"), ToolCall("b", "look", "{}"))),
        ChatMessage("tool", "4", (), "a", "roll"),
        ChatMessage("tool", "", (), "b", "look"),
        ChatMessage("tool", "?", (), "gone"),
    ]


def test_words_and_calls_may_be_one_message() -> None:
    """As they were one reply."""
    (message,) = read({"role": "assistant", "content": "Well.", "tool_calls": [call()]})
    assert message == ChatMessage("assistant", "Well.", (ToolCall("c", "roll", "{}"),))


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "4"}, "messages[0].tool_call_id"),
        ({"role": "tool", "tool_call_id": "a"}, "messages[0].content"),
        ({"role": "assistant"}, "messages[0].content"),
        (
            {"role": "assistant", "tool_calls": [{**call(), "type": "custom"}]},
            "messages[0].tool_calls[0].type",
        ),
    ],
)
def test_what_is_missing_is_named(message: dict[str, Any], param: str) -> None:
    """In the client's own path."""
    with pytest.raises(HttpRefusal) as caught:
        read(message)
    assert caught.value.param == param
