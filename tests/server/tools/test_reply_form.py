"""Wishes about one reply, put together or refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.sampling_params import Grammar
from engine.tool_dialect import HERMES, Tool, ToolDialect
from server.errors import ProtocolError
from server.text.tag_rules import TagRules
from server.tools.definitions import ToolChoice
from server.tools.reply_form import FormWish, ReplyForm, plan_form

SCHEMA = {"type": "object", "properties": {}}
ROLL, LOOK = Tool("roll", "", SCHEMA), Tool("look", "", SCHEMA)
STRICT = Tool("strict", "", SCHEMA, strict=True)
JSON = Grammar(kind="json_schema", source="{}")
REGEX = Grammar(kind="regex", source="a+")
MARKED = ToolDialect(
    first="<c>{",
    middle=":",
    between="}<c>{",
    last="}",
    marker="<c>",
    end_marker="",
    token_ids=(("<c>", 5),),
)


TAGS = TagRules(expressions=("happy",), motions=("wave",), mode="enforced")


def plan(dialect: ToolDialect = HERMES, tags: TagRules | None = None, **wish: Any) -> ReplyForm:
    """Plan a reply of a response."""
    return plan_form(FormWish(**wish), dialect, "response.", tags)


def refusal_of(**wish: Any) -> ProtocolError:
    """Why wishes are refused."""
    with pytest.raises(ProtocolError) as caught:
        plan(**wish)
    return caught.value


def test_without_wishes_a_reply_is_talk() -> None:
    """Free, and with faces."""
    assert plan() == ReplyForm()


@pytest.mark.parametrize("field", ["response_format", "structured_outputs"])
def test_text_of_a_form_holds_no_faces(field: str) -> None:
    """Brackets in JSON are JSON."""
    wish: Any = {field: REGEX}
    form = plan(**wish)
    assert (form.grammar, form.is_talk, form.tools) == (REGEX, False, ())


def test_tools_leave_the_reply_free() -> None:
    """It may be talk, or calls that are found in it."""
    form = plan(tools=[ROLL, LOOK])
    assert form == ReplyForm(tools=(ROLL, LOOK))


def test_strict_tools_hold_calls_to_their_schema_where_a_token_marks_them() -> None:
    """Elsewhere nobody could tell where a call begins."""
    assert plan(tools=[ROLL, STRICT]).grammar is None
    grammar = plan(MARKED, tools=[ROLL, STRICT]).grammar
    assert grammar is not None
    assert "TEXT" in grammar.source


def test_no_tools_where_none_may_be_called() -> None:
    """The model is not even told of them."""
    assert plan(tools=[ROLL], choice=ToolChoice("none")) == ReplyForm()


def test_a_call_can_be_forced() -> None:
    """Of any tool, several times."""
    form = plan(tools=[ROLL, LOOK], choice=ToolChoice("required"))
    assert form.grammar is not None
    assert not form.single
    assert "call_1" in form.grammar.source


def test_a_named_tool_is_called_once() -> None:
    """The model is told of no other."""
    form = plan(tools=[ROLL, LOOK], choice=ToolChoice("required", "look"))
    assert form.tools == (LOOK,)
    assert form.single


def test_calls_need_not_be_parallel() -> None:
    """Then only the first counts."""
    assert plan(tools=[ROLL], parallel=False).single


def test_json_and_tools_go_together() -> None:
    """The reply is one or the other."""
    form = plan(tools=[ROLL], response_format=JSON)
    assert form.grammar is not None
    assert "answer" in form.grammar.source
    assert not form.is_talk


def test_a_tool_that_may_not_be_called_does_not_forbid_a_form() -> None:
    """Nothing contradicts."""
    assert plan(tools=[ROLL], choice=ToolChoice("none"), response_format=REGEX).grammar == REGEX


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"response_format": JSON, "structured_outputs": REGEX}, "response.structured_outputs"),
        (
            {"tools": [ROLL], "choice": ToolChoice("required"), "response_format": JSON},
            "response.response_format",
        ),
        ({"tools": [ROLL], "structured_outputs": REGEX}, "response.structured_outputs"),
        ({"choice": ToolChoice("required")}, "response.tool_choice"),
        ({"tools": [ROLL], "choice": ToolChoice("required", "jump")}, "response.tool_choice"),
    ],
)
def test_contradictions_are_refused(wish: dict[str, Any], param: str) -> None:
    """One of the fields is named, and the way out."""
    error = refusal_of(**wish)
    assert (error.param, error.code) == (param, "invalid_value")
    assert ";" in error.message


def test_tags_are_enforced_in_plain_talk() -> None:
    """It stays talk, in which tags are looked for."""
    form = plan(tags=TAGS)
    assert form.is_talk
    assert form.grammar is not None
    assert "happy" in form.grammar.source
    assert plan(tags=TAGS, tools=[ROLL], choice=ToolChoice("none")) == form


@pytest.mark.parametrize(
    "wish", [{"tools": [ROLL]}, {"tools": [STRICT]}, {"response_format": JSON}]
)
def test_tags_are_not_enforced_beside_tools_and_forms(wish: dict[str, Any]) -> None:
    """A call's or JSON's brackets are their own."""
    assert plan(tags=TAGS, **wish) == plan(**wish)


@pytest.mark.parametrize(
    "tags",
    [
        TagRules(expressions=("happy",)),
        TagRules(expressions=("happy",), mode="off"),
        TagRules(mode="enforced"),
    ],
)
def test_tags_that_are_not_enforced_leave_the_reply_free(tags: TagRules) -> None:
    """The prompt tells of them, or nobody."""
    assert plan(tags=tags) == ReplyForm()


def test_a_grammar_is_bounded() -> None:
    """Tools that fit may come to a grammar that does not."""
    big = [Tool(f"f{i}", "", {"type": "object", "title": "x" * 700}) for i in range(100)]
    error = refusal_of(tools=big, choice=ToolChoice("required"))
    assert (error.param, error.code) == ("response.tools", "limit_exceeded")
