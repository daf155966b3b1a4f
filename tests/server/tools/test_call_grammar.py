"""Grammars of calls, read by the library that will hold models to them."""

from __future__ import annotations

import json
from collections.abc import Callable

import llguidance
import pytest
from tokenizers import AddedToken

from engine.chat_template import ChatTemplate
from engine.tokenizer import Tokenizer
from engine.tool_dialect import HERMES, Tool, ToolCall, ToolDialect
from server.tools.call_grammar import calls_only, calls_or_schema, marks_calls, text_and_calls
from tests.support.chat_templates import LLAMA3_TOOLS, MISTRAL_TOOLS, QWEN_TOOLS
from tests.support.tokenizers import byte_level_backend

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
ROLL = Tool(
    "roll",
    "",
    {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "why": {"$ref": "#/$defs/why"}},
        "required": ["n"],
        "additionalProperties": False,
        "$defs": {"why": {"type": "string"}},
    },
)
LOOK = Tool("look", "", {"type": "object", "properties": {}, "additionalProperties": False})
TOOLS = [ROLL, LOOK]
ROLLED, LOOKED = ToolCall("", "roll", '{"n": 6, "why": "名"}'), ToolCall("", "look", "{}")
DIALECTS = {
    "hermes": HERMES,
    "llama": ChatTemplate(LLAMA3_TOOLS, VARIABLES).tool_dialect,
    "mistral": ChatTemplate(MISTRAL_TOOLS, VARIABLES).tool_dialect,
}


def checker(source: str, tokenizer: Tokenizer) -> Callable[[str], bool]:
    """Says whether a text is a whole reply under a grammar."""
    backend = tokenizer._backend
    end = backend.token_to_id("<|im_end|>")
    reader = llguidance.LLTokenizer(backend.to_str(), eos_token=end)
    grammar = llguidance.grammar_from("lark", source)

    def accepts(text: str) -> bool:
        ids = tokenizer.encode(text)
        matcher = llguidance.LLMatcher(reader, grammar, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        taken = matcher.try_consume_tokens(ids)
        return taken == len(ids) and matcher.is_accepting()

    return accepts


@pytest.fixture(scope="module")
def plain() -> Tokenizer:
    """A vocabulary in which markers are ordinary text."""
    return Tokenizer(byte_level_backend(), template=QWEN_TOOLS)


@pytest.fixture(scope="module", params=[True, False])
def marked(request: pytest.FixtureRequest) -> Tokenizer:
    """A vocabulary in which each marker is one token, special or not."""
    backend = byte_level_backend()
    for name in ("<tool_call>", "</tool_call>"):
        backend.add_tokens([AddedToken(name, special=request.param, normalized=False)])
    return Tokenizer(backend, template=QWEN_TOOLS)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_forced_call_is_written_in_the_models_dialect(
    dialect: ToolDialect, plain: Tokenizer
) -> None:
    """Its own layout, the tool's schema, and nothing else."""
    accepts = checker(calls_only(TOOLS, dialect, several=True), plain)
    assert accepts(dialect.write([ROLLED]))
    assert accepts(dialect.write([LOOKED, ROLLED])) is (dialect.between is not None)
    assert not accepts("Hello")
    assert not accepts(dialect.write([ROLLED]) + " so")
    assert not accepts(dialect.write([ToolCall("", "roll", '{"n": "six"}')]))
    assert not accepts(dialect.write([ToolCall("", "look", '{"n": 6}')]))
    assert not accepts(dialect.write([ToolCall("", "jump", "{}")]))


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_one_call_may_be_all(dialect: ToolDialect, plain: Tokenizer) -> None:
    """Where calls must not be parallel."""
    accepts = checker(calls_only(TOOLS, dialect, several=False), plain)
    assert accepts(dialect.write([ROLLED]))
    assert not accepts(dialect.write([ROLLED, LOOKED]))


def test_markers_that_are_tokens_are_named_as_tokens(marked: Tokenizer) -> None:
    """No text spells them in such a vocabulary."""
    dialect = marked.tool_dialect
    assert marks_calls(dialect)
    accepts = checker(calls_only(TOOLS, dialect, several=True), marked)
    assert accepts(dialect.write([ROLLED, LOOKED]))
    assert not accepts(dialect.write([ROLLED]).replace("<tool_call>", "<tool_cal"))


def test_free_text_may_lead_to_valid_calls(marked: Tokenizer) -> None:
    """From the marker's token on the model is held to the schemas."""
    accepts = checker(text_and_calls(TOOLS, marked.tool_dialect, several=True), marked)
    calls = marked.tool_dialect.write([ROLLED, LOOKED])
    for text in ("", "Hello < there.\n", calls, f"Well.\n{calls}"):
        assert accepts(text)
    assert not accepts("Well. <tool_call>roll")
    assert not accepts(marked.tool_dialect.write([ToolCall("", "roll", "{}")]))


def test_free_text_is_not_watched_without_such_a_token() -> None:
    """Whether a call has begun could not be told from text about calls."""
    assert not any(marks_calls(dialect) for dialect in DIALECTS.values())


def test_a_reply_may_be_calls_or_json(plain: Tokenizer) -> None:
    """A response format and tools at once."""
    schema = json.dumps({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]})
    accepts = checker(calls_or_schema(TOOLS, HERMES, several=True, schema=schema), plain)
    assert accepts('{"a": 1}')
    assert accepts(HERMES.write([ROLLED]))
    assert not accepts('{"a": 2}')
    assert not accepts("Hello")


def test_names_and_layout_are_escaped(plain: Tokenizer) -> None:
    """Quotes, backslashes and line ends of a dialect stay what they are."""
    odd = ToolDialect(
        first='\\"\n', middle="/'\t", between=None, last='"\\', marker="", end_marker=""
    )
    accepts = checker(calls_only([LOOK], odd, several=False), plain)
    assert accepts(odd.write([LOOKED]))
