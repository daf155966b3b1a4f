"""How models write calls, read off their templates."""

from __future__ import annotations

import pytest

from engine.chat_template import ChatTemplate
from engine.tool_dialect import HERMES, ToolCall, ToolDialect
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
