"""How models write calls: read off their templates, and taught where there is nothing to read."""

from __future__ import annotations

import json

import pytest

from engine.chat_template import ChatTemplate
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
from tests.support.chat_templates import LLAMA3_TOOLS, MISTRAL_TOOLS, QWEN_TOOLS
from tests.support.tokenizers import CHATML_TEMPLATE

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
CALLS = [ToolCall("c1", "roll", '{"n": 6}'), ToolCall("c2", "look", "{}")]


def dialect_of(source: str) -> ToolDialect:
    """What a template shows."""
    return ChatTemplate(source, VARIABLES).tool_dialect


def test_hermes_is_read_off_its_template() -> None:
    """Tags around each call."""
    assert dialect_of(QWEN_TOOLS) == HERMES


def test_llama_writes_one_call_without_marks() -> None:
    """Arguments are ``parameters`` there, and a message holds one call."""
    dialect = dialect_of(LLAMA3_TOOLS)
    assert (dialect.marker, dialect.end_marker, dialect.between) == ("", "", None)
    assert dialect.arguments_key == "parameters"
    assert dialect.write(CALLS[:1]) == '{"name": "roll", "parameters": {"n": 6}}'


def test_mistral_writes_a_list_and_its_ids_are_not_the_models() -> None:
    """One mark before all calls; ids are put into the history by the template alone."""
    dialect = dialect_of(MISTRAL_TOOLS)
    assert dialect.marker == "[TOOL_CALLS]"
    assert dialect.write(CALLS) == (
        '[TOOL_CALLS] [{"name": "roll", "arguments": {"n": 6}}, {"name": "look", "arguments": {}}]'
    )


@pytest.mark.parametrize(
    "source",
    [
        CHATML_TEMPLATE,
        QWEN_TOOLS.replace("tool_call.arguments | tojson", "'<a>' + tool_call.arguments.trialkey"),
        QWEN_TOOLS.replace('{"name": "', "<function="),
        QWEN_TOOLS.replace("tool | tojson", "''"),
        QWEN_TOOLS.replace("message.role == 'tool'", "false"),
    ],
)
def test_templates_that_lack_a_part_are_taught_hermes(source: str) -> None:
    """No calls, calls that are no JSON, no tools, or no results."""
    template = ChatTemplate(source, VARIABLES)
    assert template.tool_dialect == HERMES
    assert not template._skills.is_native


def test_a_template_may_want_arguments_as_text() -> None:
    """Where an object fails, text is tried."""
    source = QWEN_TOOLS.replace("tool_call.arguments | tojson", "'' + tool_call.arguments")
    template = ChatTemplate(source, VARIABLES)
    assert template._skills.is_native
    assert template._skills.text_arguments


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
