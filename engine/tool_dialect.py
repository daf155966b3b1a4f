r"""How a model writes the call of a tool, and what is said to a model that never learned it.

Families differ: ``<tool_call>\n{"name": …, "arguments": …}\n</tool_call>`` (Hermes, Qwen),
``{"name": …, "parameters": …}`` and nothing around it (Llama 3), ``[TOOL_CALLS] [{…}, {…}]``
(Mistral). ``engine.tool_skills`` reads a model's own off its chat template. Where there is none,
calls are text in ``HERMES``, and ``describe_tools`` teaches it in the system text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

MAX_ARGUMENTS_DEPTH = 64


class ToolCall(msgspec.Struct, frozen=True):
    """One call of a tool.

    Attributes:
        id: What its result refers to.
        name: The tool's.
        arguments: JSON text, as the model wrote it.
    """

    id: str
    name: str
    arguments: str


class Tool(msgspec.Struct, frozen=True):
    """A function that a model may call.

    Attributes:
        name: Letters, digits, ``_`` and ``-``.
        description: When to call it; empty for none.
        parameters: JSON schema of its arguments, an object's.
        strict: Arguments must follow the schema also where the model is free to call or to talk.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False

    def as_plain(self) -> dict[str, Any]:
        """The form in which transformers hands tools to templates."""
        function: dict[str, Any] = {"name": self.name}
        if self.description:
            function["description"] = self.description
        function["parameters"] = dict(self.parameters)
        return {"type": "function", "function": function}


class ToolDialect(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around names and arguments where a model calls tools.

    A reply with calls is ``first name middle arguments (between name middle arguments)* last``.

    Attributes:
        first: From the beginning of the calls to the first name, its opening quote included.
        middle: From a name to its arguments.
        between: From arguments to the next call's name; ``None`` where a reply holds one call.
        last: After the last call's arguments.
        marker: What ``first`` begins with before any JSON, without spaces around it; may be empty.
        end_marker: What ``last`` ends with after all JSON, likewise.
        name_key: The member that holds the name.
        arguments_key: The member that holds the arguments.
        token_ids: Names of control tokens in the texts above, and their ids.
    """

    first: str
    middle: str
    between: str | None
    last: str
    marker: str
    end_marker: str
    name_key: str = "name"
    arguments_key: str = "arguments"
    token_ids: tuple[tuple[str, int], ...] = ()

    def write(self, calls: Sequence[ToolCall]) -> str:
        """The text of these calls, as the model would have written them."""
        between = self.last + "\n" + self.first if self.between is None else self.between
        written = [f"{call.name}{self.middle}{call.arguments}" for call in calls]
        return f"{self.first}{between.join(written)}{self.last}" if written else ""

    def split(self, text: str) -> list[tuple[str, int | None]]:
        """Cut one of the texts above at its control tokens.

        Returns:
            Pieces of text, each with the id of the control token after it (``None`` at the end).
        """
        ids = dict(self.token_ids)
        if not ids:
            return [(text, None)]
        parts = re.split(
            "(" + "|".join(map(re.escape, sorted(ids, key=len, reverse=True))) + ")", text
        )
        pieces = [(parts[i], ids[parts[i + 1]]) for i in range(0, len(parts) - 1, 2)]
        return [*pieces, (parts[-1], None)]


HERMES = ToolDialect(
    first='<tool_call>\n{"name": "',
    middle='", "arguments": ',
    between='}\n</tool_call>\n<tool_call>\n{"name": "',
    last="}\n</tool_call>",
    marker="<tool_call>",
    end_marker="</tool_call>",
)
"""What most open models learned, and what the others are taught."""


def describe_tools(tools: Sequence[Tool]) -> str:
    """Tell a model, in the system text, which tools there are and how to call one."""
    signatures = "\n".join(json.dumps(tool.as_plain(), ensure_ascii=False) for tool in tools)
    return (
        "# Tools\n\nYou may call these functions:\n"
        f"<tools>\n{signatures}\n</tools>\n\n"
        "To call one, write its name and its arguments as JSON between tags, and nothing after:\n"
        '<tool_call>\n{"name": <function-name>, "arguments": <arguments-object>}\n</tool_call>'
    )


def write_result(text: str) -> str:
    """What a tool returned, as words of the user's side."""
    return f"<tool_response>\n{text}\n</tool_response>"


def read_arguments(text: str) -> Any:
    """The arguments as an object; as they are where they are no JSON, or nested absurdly deep."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    level, depth = [value], 0
    while level and depth <= MAX_ARGUMENTS_DEPTH:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1
    return text if level else value


def map_call(change: Callable[[str], str], call: ToolCall) -> ToolCall:
    """The call with every text in it changed, those within its arguments too."""
    value = read_arguments(call.arguments)
    arguments = call.arguments
    if value == arguments:
        arguments = change(arguments)
    elif (mapped := _map_texts(change, value)) != value:
        arguments = json.dumps(mapped, ensure_ascii=False)
    return ToolCall(change(call.id), change(call.name), arguments)


def map_tool(change: Callable[[str], str], tool: Tool) -> Tool:
    """The tool with every text in it changed."""
    parameters = _map_texts(change, tool.parameters)
    return Tool(change(tool.name), change(tool.description), parameters, tool.strict)


def _map_texts(change: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): _map_texts(change, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(change, inner) for inner in value]
    return value
