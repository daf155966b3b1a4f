"""The tools that a client defines, and which of them it wants called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from engine.tool_dialect import Tool
from server.errors import ErrorCode, InvalidValue, LimitExceeded, Unsupported, shorten

MAX_TOOLS = 128
MAX_TOOLS_BYTES = 64 * 1024
"""JSON of all tools together."""
MAX_SCHEMA_DEPTH = 32
"""Brackets inside brackets."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MODES = ("auto", "none", "required")


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools may, must or must not be called.

    Attributes:
        mode: As on the wire; a named tool is ``required``.
        name: The only tool that may be called.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None


def read_tools(tools: Sequence[object], path: str) -> list[Tool]:
    """Check tools in Realtime's form (flat) or in Chat Completions' (under ``function``).

    Args:
        tools: As they came.
        path: Where they stand, for messages: ``session.tools``.

    Raises:
        ProtocolError: One is refused, or there are too many; the field at fault is named.
    """
    for what, value, limit in (
        ("the number of tools", len(tools), MAX_TOOLS),
        ("the size of the tools in bytes", len(msgspec.json.encode(tools)), MAX_TOOLS_BYTES),
    ):
        if value > limit:
            raise LimitExceeded(what, value, limit, "send fewer", param=path)
    read: dict[str, Tool] = {}
    for index, tool in enumerate(tools):
        here = f"{path}[{index}]"
        if not isinstance(tool, Mapping):
            raise InvalidValue(here, f"{here} must be an object")
        one = _read_tool(tool, here)
        if one.name in read:
            raise InvalidValue(here, f"{here} is another tool {shorten(one.name)}; rename one")
        read[one.name] = one
    return list(read.values())


def read_tool_choice(choice: object, path: str) -> ToolChoice:
    """Check a tool choice; whether its tool exists is not known here.

    Raises:
        ProtocolError: It is none of those that there are.
    """
    if choice is None:
        return ToolChoice()
    for mode in _MODES:
        if choice == mode:
            return ToolChoice(mode)  # type: ignore[arg-type]
    if not isinstance(choice, Mapping):
        raise InvalidValue(
            path,
            f"{path} is {shorten(choice)}; it must be 'auto', 'none', 'required' or "
            '{"type": "function", "name": …}',
        )
    if choice.get("type") != "function":
        raise Unsupported(
            f"{path}.type is {shorten(choice.get('type'))}; only a 'function' can be chosen",
            param=f"{path}.type",
        )
    inner = choice.get("function")
    here, holder = (f"{path}.function", inner) if isinstance(inner, Mapping) else (path, choice)
    name = holder.get("name")
    if not isinstance(name, str):
        raise _missing_or_not(name, f"{here}.name", "a string")
    return ToolChoice("required", name)


def check_depth(value: object, path: str) -> None:
    """Refuse what is nested absurdly deep.

    Raises:
        LimitExceeded: It is.
    """
    level = [value]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            return
    raise LimitExceeded(
        "the depth of the schema", MAX_SCHEMA_DEPTH + 1, MAX_SCHEMA_DEPTH, "flatten it", param=path
    )


def _read_tool(tool: Mapping[str, Any], path: str) -> Tool:
    kind = tool.get("type")
    if not isinstance(kind, str):
        raise _missing_or_not(kind, f"{path}.type", "a string")
    if kind != "function":
        raise Unsupported(
            f"{path}.type is {shorten(kind)}; this server knows tools of type 'function'",
            param=f"{path}.type",
        )
    inner = tool.get("function")
    if inner is not None and not isinstance(inner, Mapping):
        raise InvalidValue(f"{path}.function", f"{path}.function must be an object")
    if inner is not None:
        tool, path = inner, f"{path}.function"
    name, description = tool.get("name"), tool.get("description") or ""
    if not isinstance(name, str):
        raise _missing_or_not(name, f"{path}.name", "a string")
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            f"{path}.name",
            f"{path}.name is {shorten(name)}; it must be 1 to 64 letters, digits, '_' or '-'",
        )
    if not isinstance(description, str):
        raise InvalidValue(f"{path}.description", f"{path}.description must be a string")
    strict = tool.get("strict") or False
    if not isinstance(strict, bool):
        raise InvalidValue(f"{path}.strict", f"{path}.strict must be true or false")
    return Tool(name, description, _read_parameters(tool.get("parameters"), path), strict)


def _read_parameters(parameters: object, path: str) -> dict[str, Any]:
    path = f"{path}.parameters"
    if parameters is None or parameters == {}:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    if not isinstance(parameters, Mapping):
        raise InvalidValue(path, f"{path} must be a JSON schema, that is, an object")
    check_depth(parameters, path)
    kind = parameters.get("type", "object")
    if kind != "object":
        raise InvalidValue(
            f"{path}.type", f"{path}.type is {shorten(kind)}; arguments are an 'object'"
        )
    return {"type": "object", **parameters}


def _missing_or_not(value: object, path: str, what: str) -> InvalidValue:
    if value is None:
        code = ErrorCode.MISSING_REQUIRED_PARAMETER
        return InvalidValue(path, f"{path} is missing", code=code)
    return InvalidValue(path, f"{path} must be {what}")
