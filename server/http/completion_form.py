"""What a chat completion asks its reply to be: tools, formats, and vLLM's constraints."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.sampling_params import Grammar
from server.errors import InvalidValue
from server.tools.definitions import read_tool_choice, read_tools
from server.tools.reply_form import FormWish
from server.tools.text_formats import (
    read_constraint,
    read_response_format,
    read_structured_outputs,
)

_GUIDED = ("json", "regex", "choice", "grammar")


class FormFields(msgspec.Struct, kw_only=True):
    """The fields of a body; what is in them is checked by hand, for better words."""

    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    structured_outputs: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None


def read_form(fields: FormFields) -> FormWish:
    """Check the fields one by one; whether they fit together is for ``plan_form`` to say.

    Raises:
        ProtocolError: One is refused.
    """
    name, constraint = _read_constraint(fields)
    return FormWish(
        tools=read_tools(fields.tools or [], "tools"),
        choice=read_tool_choice(fields.tool_choice, "tool_choice"),
        parallel=fields.parallel_tool_calls is not False,
        response_format=read_response_format(fields.response_format, "response_format"),
        structured_outputs=constraint,
        structured_name=name,
    )


def _read_constraint(fields: FormFields) -> tuple[str, Grammar | None]:
    given: dict[str, Grammar] = {}
    constraint = read_structured_outputs(fields.structured_outputs, "structured_outputs")
    if constraint is not None:
        given["structured_outputs"] = constraint
    for kind in _GUIDED:
        name = f"guided_{kind}"
        value = getattr(fields, name)
        if value is not None:
            given[name] = read_constraint(kind, value, name)
    if len(given) > 1:
        names = list(given)
        raise InvalidValue(names[-1], f"{' and '.join(names)} are given; choose one of them")
    return next(iter(given.items()), ("structured_outputs", None))
