"""What one reply may be: talk, calls, or text of a given form; put together from what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import InvalidParameter
from engine.sampling_params import MAX_GRAMMAR_BYTES, Grammar
from engine.tool_dialect import HERMES, Tool, ToolDialect
from server.errors import InvalidValue, LimitExceeded, shorten
from server.text.tag_rules import TagRules
from server.text.tool_calls import ToolCallParser
from server.tools.call_grammar import calls_only, calls_or_schema, marks_calls, text_and_calls
from server.tools.definitions import ToolChoice
from server.tools.tag_grammar import tagged_reply


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyForm:
    """What a reply may be.

    Attributes:
        tools: Shown to the model, and looked for in what it writes.
        dialect: How it writes calls.
        single: It may call once.
        grammar: Holds the engine to it; ``None`` for free text.
        is_talk: Its text is a character's words, in which expression tags are looked for.
    """

    tools: tuple[Tool, ...] = ()
    dialect: ToolDialect = HERMES
    single: bool = False
    grammar: Grammar | None = None
    is_talk: bool = True

    def parser(self) -> ToolCallParser | None:
        """For one reply; ``None`` where no call is looked for."""
        if not self.tools:
            return None
        return ToolCallParser(self.dialect, [tool.name for tool in self.tools], single=self.single)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormWish:
    """What a client asked for.

    Attributes:
        tools: Checked.
        choice: Of tools.
        parallel: Several calls in one reply are welcome.
        response_format: From the field of that name.
        structured_outputs: From the field of that name, or one of its elder names.
        structured_name: Which of them it was, for messages.
    """

    tools: Sequence[Tool] = ()
    choice: ToolChoice = ToolChoice()
    parallel: bool = True
    response_format: Grammar | None = None
    structured_outputs: Grammar | None = None
    structured_name: str = "structured_outputs"

    @property
    def text_name(self) -> str:
        """The field that gives text a form."""
        return self.structured_name if self.response_format is None else "response_format"


def plan_form(
    wish: FormWish,
    dialect: ToolDialect,
    path: str,
    tags: TagRules | None = None,
    *,
    goes_on: bool = False,
) -> ReplyForm:
    """Decide what the reply may be.

    Tags are enforced in plain talk only. Where tools may be called, or the text has a form, its
    brackets may be anything, and tags are left to the prompt.

    Args:
        wish: What the client asked for.
        dialect: How the model writes calls.
        path: What stands before the fields' names in messages: ``response.``, or nothing.
        tags: The character's; ``None`` to leave the text free.
        goes_on: It goes on with a reply that was broken off, and need not begin with a tag.

    Raises:
        ProtocolError: Wishes contradict each other; one of them is named.
    """
    text = _text_form(wish, path)
    tools, choice = _callable_tools(wish, path), wish.choice
    if not tools:
        return ReplyForm(grammar=text or _held_to(tags, goes_on), is_talk=text is None)
    several = wish.parallel and choice.name is None
    source: str | None = None
    if choice.mode == "required":
        if text is not None:
            raise _contradiction(wish, path, f"{path}tool_choice forces a call")
        source = calls_only(tools, dialect, several=several)
    elif text is not None:
        if text.kind != "json_schema":
            raise _contradiction(wish, path, f"there are {path}tools that may be called")
        source = calls_or_schema(tools, dialect, several=several, schema=text.source)
    elif any(tool.strict for tool in tools) and marks_calls(dialect):
        source = text_and_calls(tools, dialect, several=several)
    return ReplyForm(
        tools=tuple(tools),
        dialect=dialect,
        single=not several,
        grammar=None if source is None else _grammar(source, path),
        is_talk=text is None,
    )


def _held_to(tags: TagRules | None, goes_on: bool) -> Grammar | None:
    if tags is None or not tags.is_enforced:
        return None
    source = tagged_reply(tags.expressions, tags.motions, tags.every, goes_on=goes_on)
    return Grammar(kind="lark", source=source)


def _text_form(wish: FormWish, path: str) -> Grammar | None:
    if wish.response_format is not None and wish.structured_outputs is not None:
        raise InvalidValue(
            f"{path}{wish.structured_name}",
            f"{path}{wish.structured_name} and {path}response_format are both given; choose one",
        )
    return wish.response_format or wish.structured_outputs


def _callable_tools(wish: FormWish, path: str) -> list[Tool]:
    param, choice = f"{path}tool_choice", wish.choice
    if choice.mode == "none":
        return []
    if choice.mode == "required" and not wish.tools:
        raise InvalidValue(param, f"{param} forces a call, but there are no tools; send some")
    if choice.name is None:
        return list(wish.tools)
    named = [tool for tool in wish.tools if tool.name == choice.name]
    if not named:
        known = ", ".join(tool.name for tool in wish.tools)
        raise InvalidValue(
            param, f"{param} names {shorten(choice.name)}; there are {shorten(known, 400)}"
        )
    return named


def _contradiction(wish: FormWish, path: str, why: str) -> InvalidValue:
    name = wish.text_name
    return InvalidValue(
        f"{path}{name}",
        f"{path}{name} gives the text a form, but {why}; set {path}tool_choice to 'none', "
        f"or leave {path}{name} out",
    )


def _grammar(source: str, path: str) -> Grammar:
    try:
        return Grammar(kind="lark", source=source)
    except InvalidParameter:
        raise LimitExceeded(
            "the size of the tools' grammar in bytes",
            len(source.encode()),
            MAX_GRAMMAR_BYTES,
            "send fewer tools, or smaller schemas",
            param=f"{path}tools",
        ) from None
