"""What is forced is enforced, from the SDK's call down to the model's tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from openai import BadRequestError, OpenAI

from tests.support.real_server import real_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire,
    pytest.mark.filterwarnings("ignore:connect:DeprecationWarning"),
]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["happy", "sad"]},
        "age": {"type": "integer", "minimum": 1, "maximum": 120},
    },
    "required": ["mood", "age"],
    "additionalProperties": False,
}
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "roll",
        "parameters": {
            "type": "object",
            "properties": {"sides": {"enum": [6, 20]}},
            "required": ["sides"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


@pytest.fixture(scope="module")
def sdk() -> Iterator[OpenAI]:
    """An unmodified SDK at a server with the demo model, which knows neither JSON nor tools."""
    with real_server() as server:
        yield OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_a_json_schema_holds_in_every_reply(sdk: OpenAI) -> None:
    """Whatever the seed, streamed or whole."""
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "state", "schema": SCHEMA}}
    for seed in range(5):
        reply = sdk.chat.completions.create(
            model="aoi",
            messages=[{"role": "user", "content": "How are you?"}],
            response_format=wanted,
            seed=seed,
        )
        jsonschema.validate(json.loads(reply.choices[0].message.content or ""), SCHEMA)


def test_a_required_call_is_made_with_arguments_of_its_schema(sdk: OpenAI) -> None:
    """By a model that was never shown one."""
    reply = sdk.chat.completions.create(
        model="aoi",
        messages=[{"role": "user", "content": "Roll a die!"}],
        tools=[TOOL],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    (call,) = reply.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert reply.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "roll"
    assert json.loads(call.function.arguments)["sides"] in (6, 20)


def test_a_call_over_the_websocket_and_the_words_after_its_result(sdk: OpenAI) -> None:
    """A function_call item, its output, and a reply in words."""
    with sdk.realtime.connect(model="aoi") as connection:
        connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Roll a die!"}],
            }
        )
        function = TOOL["function"]
        tool: Any = {"type": "function", "name": "roll", "parameters": function["parameters"]}
        connection.response.create(response={"tools": [tool], "tool_choice": "required"})
        calls = [item for item in _items(connection) if item.type == "function_call"]
        assert calls
        assert json.loads(calls[0].arguments)["sides"] in (6, 20)
        connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": calls[0].call_id, "output": "4"}
        )
        connection.response.create(response={"tool_choice": "none"})
        assert [item.type for item in _items(connection)] == ["message"]


def test_a_schema_that_cannot_be_followed_is_refused_by_name(sdk: OpenAI) -> None:
    """With what is wrong, and at once."""
    wanted: Any = {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"$ref": "https://example.org/schema"}},
    }
    with pytest.raises(BadRequestError) as caught:
        sdk.chat.completions.create(
            model="aoi", messages=[{"role": "user", "content": "Hi"}], response_format=wanted
        )
    assert caught.value.code in ("invalid_grammar", "invalid_value")


def _items(connection: Any) -> list[Any]:
    """Read to the end of the response; returns its items."""
    for event in connection:
        assert event.type != "error", event
        if event.type == "response.done":
            assert event.response.status == "completed"
            return list(event.response.output)
    raise AssertionError("the socket closed")
