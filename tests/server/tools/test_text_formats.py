"""Forms of text: which grammar they come to, and what is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.sampling_params import MAX_GRAMMAR_BYTES, Grammar
from server.errors import ProtocolError
from server.tools.text_formats import (
    MAX_CHOICES,
    read_response_format,
    read_structured_outputs,
)

SCHEMA = {"type": "object", "properties": {"名": {"type": "string"}}}


def test_text_is_any_text() -> None:
    """Also where nothing was said."""
    assert read_response_format(None, "f") is None
    assert read_response_format({"type": "text"}, "f") is None
    assert read_structured_outputs(None, "s") is None


def test_a_json_schema_is_a_grammar() -> None:
    """Its text is what is compiled."""
    wish = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    grammar = read_response_format(wish, "f")
    assert grammar is not None
    assert (grammar.kind, json.loads(grammar.source)) == ("json_schema", SCHEMA)


@pytest.mark.parametrize(
    "wish", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "n"}}]
)
def test_without_a_schema_it_is_any_object(wish: dict[str, Any]) -> None:
    """JSON mode."""
    expected = Grammar(kind="json_schema", source='{"type": "object"}')
    assert read_response_format(wish, "f") == expected


@pytest.mark.parametrize(
    ("wish", "kind", "source"),
    [
        ({"json": {}}, "json_schema", "{}"),
        ({"json": '{"a": 1}'}, "json_schema", '{"a": 1}'),
        ({"json_object": True}, "json_schema", '{"type": "object"}'),
        ({"regex": "[0-9]+"}, "regex", "[0-9]+"),
        ({"choice": ["はい", "no"]}, "choice", '["はい", "no"]'),
        ({"grammar": "start: /a/", "regex": None}, "lark", "start: /a/"),
    ],
)
def test_vllms_names_are_understood(wish: dict[str, Any], kind: str, source: str) -> None:
    """One constraint, in one of its kinds."""
    grammar = read_structured_outputs(wish, "s")
    assert grammar is not None
    assert (grammar.kind, grammar.source) == (kind, source)


def deep() -> Any:
    """Deeper than any schema."""
    value: Any = {}
    for _ in range(1000):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("wish", "param", "code"),
    [
        ("json", "f", "invalid_value"),
        ({"type": "xml"}, "f.type", "invalid_value"),
        ({"type": "json_schema"}, "f.json_schema", "missing_required_parameter"),
        ({"type": "json_schema", "json_schema": 1}, "f.json_schema", "invalid_value"),
        (
            {"type": "json_schema", "json_schema": {}},
            "f.json_schema.name",
            "missing_required_parameter",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a b"}},
            "f.json_schema.name",
            "invalid_value",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": []}},
            "f.json_schema.schema",
            "invalid_value",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": deep()}},
            "f.json_schema.schema",
            "limit_exceeded",
        ),
    ],
)
def test_bad_formats_are_refused_by_field(wish: Any, param: str, code: str) -> None:
    """The dotted path says where."""
    with pytest.raises(ProtocolError) as caught:
        read_response_format(wish, "f")
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    ("wish", "param", "code"),
    [
        ([], "s", "invalid_value"),
        ({}, "s", "invalid_value"),
        ({"regex": "a", "choice": ["a"]}, "s", "invalid_value"),
        ({"structural_tag": "{}"}, "s.structural_tag", "unsupported"),
        ({"json": "{"}, "s.json", "invalid_value"),
        ({"json": 7}, "s.json", "invalid_value"),
        ({"json_object": 1}, "s.json_object", "invalid_value"),
        ({"regex": ""}, "s.regex", "invalid_value"),
        ({"regex": "a" * (MAX_GRAMMAR_BYTES + 1)}, "s.regex", "limit_exceeded"),
        ({"choice": []}, "s.choice", "invalid_value"),
        ({"choice": ["a", 1]}, "s.choice", "invalid_value"),
        ({"choice": ["a"] * (MAX_CHOICES + 1)}, "s.choice", "invalid_value"),
        ({"grammar": {}}, "s.grammar", "invalid_value"),
    ],
)
def test_bad_constraints_are_refused_by_field(wish: Any, param: str, code: str) -> None:
    """The dotted path says where."""
    with pytest.raises(ProtocolError) as caught:
        read_structured_outputs(wish, "s")
    assert (caught.value.param, caught.value.code) == (param, code)
