"""Grammars that make a model call tools: its own dialect around, the tools' schemas inside.

Written in llguidance's Lark. A call's marker that is one token of the vocabulary is named by its
id, since no text spells it there. Arguments are spaced as ``json.dumps`` does, which is how
templates show calls to the models that learn from them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine.tool_dialect import Tool, ToolDialect

_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def calls_only(tools: Sequence[Tool], dialect: ToolDialect, *, several: bool) -> str:
    """A reply that is nothing but calls, one or (``several``) more of them."""
    return "\n".join(["%llguidance {}", "start: calls", *_calls(tools, dialect, several)])


def calls_or_schema(
    tools: Sequence[Tool], dialect: ToolDialect, *, several: bool, schema: str
) -> str:
    """A reply that is calls, or else JSON after a schema."""
    return "\n".join(
        [
            "%llguidance {}",
            "start: calls | answer",
            f"answer: %json {schema}",
            *_calls(tools, dialect, several),
        ]
    )


def text_and_calls(tools: Sequence[Tool], dialect: ToolDialect, *, several: bool) -> str:
    """Free text, and after it calls, or not; only for dialects that ``marks_calls``."""
    return "\n".join(
        [
            "%llguidance {}",
            "start: TEXT? calls?",
            r"TEXT: /(.|\n)+/",
            *_calls(tools, dialect, several),
        ]
    )


def marks_calls(dialect: ToolDialect) -> bool:
    """Whether one token tells where text ends and calls begin."""
    before, token_id = dialect.split(dialect.first)[0]
    return not before and token_id is not None


def _calls(tools: Sequence[Tool], dialect: ToolDialect, several: bool) -> list[str]:
    more = ""
    if several and dialect.between is not None:
        more = f" ({_literal(dialect.between, dialect)} call)*"
    rules = [
        f"calls: {_literal(dialect.first, dialect)} call{more} {_literal(dialect.last, dialect)}",
        "call: " + " | ".join(f"call_{index}" for index in range(len(tools))),
    ]
    for index, tool in enumerate(tools):
        schema = json.dumps({**tool.parameters, "x-guidance": _SPACING}, ensure_ascii=False)
        head = _literal(tool.name + dialect.middle, dialect)
        rules += [f"call_{index}: {head} arguments_{index}", f"arguments_{index}: %json {schema}"]
    return rules


def _literal(text: str, dialect: ToolDialect) -> str:
    parts: list[str] = []
    for piece, token_id in dialect.split(text):
        if piece:
            parts.append(json.dumps(piece, ensure_ascii=False))
        if token_id is not None:
            parts.append(f"<[{token_id}]>")
    return " ".join(parts)
