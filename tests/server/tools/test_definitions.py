"""Tools and choices as clients send them, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from engine.tool_dialect import Tool
from server.errors import ProtocolError
from server.tools.definitions import (
    MAX_SCHEMA_DEPTH,
    MAX_TOOLS,
    MAX_TOOLS_BYTES,
    ToolChoice,
    check_depth,
    read_tool_choice,
    read_tools,
)

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}}


def flat(**fields: Any) -> dict[str, Any]:
    """A tool in Realtime's form."""
    return {"type": "function", "name": "roll", **fields}


def refusal_of(tools: list[Any]) -> ProtocolError:
    """Why tools are refused."""
    with pytest.raises(ProtocolError) as caught:
        read_tools(tools, "tools")
    return caught.value


def test_both_wires_forms_are_the_same_tool() -> None:
    """Flat, or under ``function``."""
    function = {"name": "roll", "description": "Roll.", "parameters": SCHEMA, "strict": True}
    expected = [Tool("roll", "Roll.", SCHEMA, strict=True)]
    assert read_tools([{"type": "function", **function}], "tools") == expected
    assert read_tools([{"type": "function", "function": function}], "tools") == expected


@pytest.mark.parametrize("parameters", [None, {}])
def test_a_tool_without_parameters_takes_none(parameters: Any) -> None:
    """Its arguments are an empty object."""
    (tool,) = read_tools([flat(parameters=parameters)], "tools")
    assert tool.parameters["additionalProperties"] is False


def test_arguments_are_an_object_even_where_the_schema_forgets_it() -> None:
    """Otherwise a grammar would allow anything."""
    (tool,) = read_tools([flat(parameters={"properties": {}})], "tools")
    assert tool.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("tool", "param", "code"),
    [
        (7, "tools[0]", "invalid_value"),
        ({}, "tools[0].type", "missing_required_parameter"),
        ({"type": "mcp"}, "tools[0].type", "unsupported"),
        ({"type": "function"}, "tools[0].name", "missing_required_parameter"),
        ({"type": "function", "function": 7}, "tools[0].function", "invalid_value"),
        (
            {"type": "function", "function": {}},
            "tools[0].function.name",
            "missing_required_parameter",
        ),
        (flat(name="a b"), "tools[0].name", "invalid_value"),
        (flat(name="x" * 65), "tools[0].name", "invalid_value"),
        (flat(description=7), "tools[0].description", "invalid_value"),
        (flat(strict="yes"), "tools[0].strict", "invalid_value"),
        (flat(parameters=[]), "tools[0].parameters", "invalid_value"),
        (flat(parameters={"type": "array"}), "tools[0].parameters.type", "invalid_value"),
    ],
)
def test_a_bad_tool_is_refused_by_field(tool: Any, param: str, code: str) -> None:
    """The dotted path says where."""
    error = refusal_of([tool])
    assert (error.param, error.code) == (param, code)


def test_names_are_unique() -> None:
    """A call could not say which is meant."""
    assert refusal_of([flat(), flat()]).param == "tools[1]"


@pytest.mark.parametrize(
    "tools",
    [
        [flat(name=f"f{index}") for index in range(MAX_TOOLS + 1)],
        [flat(description="x" * MAX_TOOLS_BYTES)],
    ],
)
def test_tools_are_bounded(tools: list[Any]) -> None:
    """In number and in bytes."""
    assert refusal_of(tools).code == "limit_exceeded"


def test_schemas_are_bounded_in_depth() -> None:
    """Nobody walks into what is deeper."""
    value: Any = 1
    for _ in range(MAX_SCHEMA_DEPTH - 1):
        value = [value]
    check_depth(value, "x")
    for _ in range(10_000):
        value = {"a": value}
    with pytest.raises(ProtocolError, match="the limit is 32"):
        check_depth(value, "x")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("required", "f")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("required", "f")),
    ],
)
def test_choices_are_read_in_both_forms(choice: Any, expected: ToolChoice) -> None:
    """A named tool must be called."""
    assert read_tool_choice(choice, "tool_choice") == expected


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("perhaps", "tool_choice"),
        (7, "tool_choice"),
        ({"type": "allowed_tools"}, "tool_choice.type"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "function": {"name": 1}}, "tool_choice.function.name"),
    ],
)
def test_other_choices_are_refused(choice: Any, param: str) -> None:
    """By the field at fault."""
    with pytest.raises(ProtocolError) as caught:
        read_tool_choice(choice, "tool_choice")
    assert caught.value.param == param
