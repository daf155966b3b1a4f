"""Tools and formats of chat completions, whole and as events."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from engine.tool_dialect import HERMES, ToolCall
from tests.server.http.rooms import chat_body, parse_events
from tests.support.fake_engine import FakeEngine

PATH = "/v1/chat/completions"
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("roll", "look")
]
ROLL = ToolCall("", "roll", '{"n": "[happy] 6"}')
LOOK = ToolCall("", "look", "{}")


async def post(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    """Ask ``aoi``, with tools and room enough."""
    return await client.post(PATH, json=chat_body(**{"tools": TOOLS, "max_tokens": 999, **fields}))


async def test_only_calls_are_a_message_without_content(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    """OpenAI's shape, and arguments as the model wrote them."""
    engine.reply = HERMES.write([ROLL, LOOK])
    (choice,) = (await post(client)).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert (message["role"], message["content"]) == ("assistant", None)
    first, second = message["tool_calls"]
    assert first["function"] == {"name": "roll", "arguments": ROLL.arguments}
    assert (first["type"], second["function"]["name"]) == ("function", "look")
    assert first["id"].startswith("call_")
    assert first["id"] != second["id"]


async def test_words_and_a_call(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    """Both are there, and tags are taken out of the words alone."""
    engine.reply = "[sad] Hm.\n" + HERMES.write([ROLL])
    message = (await post(client)).json()["choices"][0]["message"]
    assert message["content"] == "Hm."
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"n": "[happy] 6"}


async def test_a_stream_of_calls(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    """Name first, then arguments in pieces, each with its call's index."""
    engine.reply = "Hm. " + HERMES.write([ROLL, LOOK])
    events = parse_events((await post(client, stream=True)).content)[:-1]
    choices = [event["choices"][0] for event in events]
    assert choices[-1]["finish_reason"] == "tool_calls"
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "Hm."
    deltas = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    begun = [call for call in deltas if "id" in call]
    assert [call["function"] for call in begun] == [
        {"name": "roll", "arguments": ""},
        {"name": "look", "arguments": ""},
    ]
    assert [call["index"] for call in begun] == [0, 1]
    first = [call["function"]["arguments"] for call in deltas if call["index"] == 0]
    assert len(first) > 3
    assert "".join(first) == ROLL.arguments
    assert deltas == sorted(deltas, key=lambda call: call["index"])


async def test_a_call_that_is_cut_off_says_length(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    """Half a call is shown as far as it came; half a marker is not."""
    engine.reply = "Hm. " + HERMES.write([ROLL])
    (choice,) = (await post(client, max_tokens=60)).json()["choices"]
    assert choice["finish_reason"] == "length"
    assert ROLL.arguments.startswith(choice["message"]["tool_calls"][0]["function"]["arguments"])
    (choice,) = (await post(client, max_tokens=8)).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hm.", "length")


async def test_the_model_reads_of_tools_calls_and_results(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    """All of them reach the template."""
    call = {"id": "c", "type": "function", "function": {"name": "roll", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "four", "tool_call_id": "c"},
    ]
    assert (await post(client, messages=messages)).status_code == 200
    (prompt,) = engine.prompts.values()
    text = "".join(map(chr, prompt))
    assert text.startswith("<tool roll><tool look><system>You are Aoi.")
    assert text.endswith('"name": "roll", "arguments": {}}\n</tool_call><tool>four<assistant>')


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"tool_choice": "required"}, "lark"),
        ({"tool_choice": {"type": "function", "function": {"name": "look"}}}, "lark"),
        ({"tools": None, "response_format": {"type": "json_object"}}, "json_schema"),
        ({"response_format": {"type": "json_object"}}, "lark"),
        ({"tools": None, "structured_outputs": {"choice": ["a"]}}, "choice"),
        ({"tools": None, "guided_regex": "a+"}, "regex"),
        ({"tools": None, "guided_grammar": "start: /a/"}, "lark"),
    ],
)
async def test_what_is_asked_for_is_enforced_by_a_grammar(
    client: httpx.AsyncClient, engine: FakeEngine, fields: dict[str, Any], kind: str
) -> None:
    """It goes to the engine with the sampling."""
    assert (await post(client, **fields)).status_code == 200
    (params,) = engine.params.values()
    assert params.grammar is not None
    assert params.grammar.kind == kind


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tool_choice": "none"},
        {"tool_choice": "none", "response_format": {"type": "text"}},
        {"tools": []},
    ],
)
async def test_everything_else_is_free(
    client: httpx.AsyncClient, engine: FakeEngine, fields: dict[str, Any]
) -> None:
    """No grammar costs anything where none is needed."""
    assert (await post(client, **fields)).status_code == 200
    (params,) = engine.params.values()
    assert params.grammar is None


async def test_json_keeps_its_brackets(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    """Text of a form is no talk."""
    engine.reply = '["[happy]"]'
    fields = {"tools": None, "structured_outputs": {"json": {"type": "array"}}}
    answer = (await post(client, **fields)).json()
    assert answer["choices"][0]["message"]["content"] == '["[happy]"]'


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        (
            {"tool_choice": "required", "response_format": {"type": "json_object"}},
            "response_format",
        ),
        ({"guided_regex": "a"}, "guided_regex"),
        (
            {"tools": [], "guided_regex": "a", "response_format": {"type": "json_object"}},
            "guided_regex",
        ),
    ],
)
async def test_contradictions_are_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str
) -> None:
    """With the field in the client's own words."""
    answer = await post(client, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tools"),
        ({"tools": None, "guided_grammar": "("}, "guided_grammar"),
        ({"tools": None, "response_format": {"type": "json_object"}}, "response_format"),
    ],
)
async def test_a_grammar_that_does_not_compile_is_the_fields_fault(
    client: httpx.AsyncClient, engine: FakeEngine, fields: dict[str, Any], param: str
) -> None:
    """The engine's parameter is none of the client's."""
    engine.refuse_with, engine.refuse_param = "invalid_grammar", "grammar"
    answer = await post(client, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
