"""Bodies of chat completions: what is read, and what is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.sampling_params import Grammar
from server.http.completions_body import CompletionRequest, parse_completion
from server.http.refusals import HttpRefusal
from tests.server.http.rooms import chat_body


def parse(**fields: Any) -> CompletionRequest:
    """Parse a small body with these fields changed."""
    return parse_completion(json.dumps(chat_body(**fields)).encode())


def refusal_of(raw: bytes) -> HttpRefusal:
    """Why a body is refused."""
    with pytest.raises(HttpRefusal) as caught:
        parse_completion(raw)
    assert caught.value.status == 400
    return caught.value


def test_unknown_fields_are_ignored() -> None:
    """New clients may say more than we know."""
    assert parse(user="me", store=True, x={"y": [1]}).model == "aoi"


def test_null_is_the_same_as_left_out() -> None:
    """SDKs send null for what their users did not set."""
    request = parse(temperature=None, stop=None, stream=None, n=None, tools=None, max_tokens=None)
    assert request.sampling == {}
    assert not request.stream


def test_harmless_forms_of_unsupported_fields_pass() -> None:
    """No tools, no choice, plain text: that is what is done anyway."""
    parse(tools=[], tool_choice="auto", response_format={"type": "text"}, modalities=["text"], n=1)


def test_max_completion_tokens_wins() -> None:
    """The newer name is the one that is meant."""
    request = parse(max_tokens=5, max_completion_tokens=7)
    assert request.sampling["max_tokens"] == 7


def test_the_samplers_own_names_pass() -> None:
    """Beyond OpenAI's fields there are those of local engines."""
    names: dict[str, object] = {
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "dry_multiplier": 0.8,
        "xtc_probability": 0.5,
        "min_tokens": 3,
        "ignore_eos": True,
        "stop_token_ids": [5],
    }
    assert parse(**names).sampling == names


def test_vllms_names_are_read_too() -> None:
    """One constraint, whichever name it has."""
    wish = parse(guided_choice=["a", "b"]).wish
    assert wish.structured_outputs == Grammar(kind="choice", source='["a", "b"]')
    assert wish.text_name == "guided_choice"
    assert parse(structured_outputs={"regex": "a"}).wish.text_name == "structured_outputs"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": {}}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"guided_regex": 7}, "guided_regex"),
        ({"guided_regex": "a", "guided_json": {}}, "guided_regex"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"tag_dialect": "emoji"}, "tag_dialect"),
        ({"tag_mode": "strict"}, "tag_mode"),
        ({"tag_every": "word"}, "tag_every"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"temperature": "1"}, "temperature"),
        ({"stop": [1]}, "stop[0]"),
        ({"seed": 1.5}, "seed"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "user", "content": "x"}] * 5000}, "messages"),
    ],
)
def test_the_field_at_fault_is_named(fields: dict[str, Any], param: str) -> None:
    """Every refusal says which field, in the client's own path."""
    refusal = refusal_of(json.dumps(chat_body(**fields)).encode())
    assert refusal.param == param
    assert refusal.message


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    """Two fields are needed."""
    body = chat_body()
    del body[missing]
    refusal = refusal_of(json.dumps(body).encode())
    assert (refusal.param, refusal.code) == (missing, "missing_required_parameter")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"{",
        b'{"model":"aoi"}x',
        b"\xef\xbb\xbf{}",
        b'{"model": "\xff"}',
        b'{"model":"aoi","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"aoi","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        b'{"model":"aoi","messages":[{"role":"user","content":"x"}],"temperature":1e400}',
        b'{"model":"aoi","messages":[{"role":"user","content":"x"}],"seed":1' + b"0" * 5000 + b"}",
        b'{"model":"aoi","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(13),
)
def test_nonsense_is_refused_without_echoing_it(raw: bytes) -> None:
    """Whatever comes in, a short sentence goes out."""
    assert len(refusal_of(raw).message) < 200


def test_a_type_error_says_both_types() -> None:
    """The sentence speaks of JSON's types, not of Python's."""
    refusal = refusal_of(json.dumps(chat_body(temperature="hot")).encode())
    assert refusal.message == "temperature: expected number, got string"
