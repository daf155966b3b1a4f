"""Calls, tools and arguments as values."""

from __future__ import annotations

import json

import pytest

from engine.tool_dialect import (
    HERMES,
    MAX_ARGUMENTS_DEPTH,
    Tool,
    ToolCall,
    ToolDialect,
    describe_tools,
    map_call,
    read_arguments,
)

CALLS = [ToolCall("c1", "roll", '{"n": 6}'), ToolCall("c2", "look", "{}")]


def test_calls_are_written_as_the_model_writes_them() -> None:
    """One after the other, and nothing for none."""
    assert HERMES.write([]) == ""
    assert HERMES.write(CALLS) == (
        '<tool_call>\n{"name": "roll", "arguments": {"n": 6}}\n</tool_call>\n'
        '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
    )


def test_texts_are_cut_at_control_tokens() -> None:
    """A grammar has to name them by id."""
    dialect = ToolDialect(
        first="<a>\n{",
        middle="",
        between=None,
        last="</a>",
        marker="<a>",
        end_marker="</a>",
        token_ids=(("<a>", 7),),
    )
    assert dialect.split("x<a>\n{") == [("x", 7), ("\n{", None)]
    assert HERMES.split("<tool_call>") == [("<tool_call>", None)]


def test_the_lesson_names_every_tool() -> None:
    """A model without tools in its template reads them in the system text."""
    text = describe_tools([Tool("roll", "Roll a die.", {"type": "object"}), Tool("look", "", {})])
    assert '{"name": "roll", "description": "Roll a die.", "parameters"' in text
    assert '{"name": "look", "parameters": {}}' in text


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null "])
def test_arguments_that_are_no_object_stay_text(text: str) -> None:
    """Whatever a client writes there must not hurt."""
    assert read_arguments(text) in (text, None)


def test_deep_arguments_stay_text() -> None:
    """Beyond a bound nobody walks into them."""
    deep = "[" * (MAX_ARGUMENTS_DEPTH + 2) + "]" * (MAX_ARGUMENTS_DEPTH + 2)
    assert read_arguments(deep) == deep
    flat = "[" * MAX_ARGUMENTS_DEPTH + "]" * MAX_ARGUMENTS_DEPTH
    assert read_arguments(flat) != flat


def test_every_text_in_a_call_can_be_changed() -> None:
    """Keys and values alike; a call in which nothing changes keeps its spelling."""
    call = ToolCall("c", "f", '{"k":["v",{"x":1}]}')
    assert map_call(lambda text: text, call) == call
    changed = map_call(str.upper, call)
    assert (changed.id, changed.name) == ("C", "F")
    assert json.loads(changed.arguments) == {"K": ["V", {"X": 1}]}
