"""Calls out of a stream: whatever the chunks, whatever the model."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest

from engine.chat_template import ChatTemplate
from engine.tool_dialect import HERMES, ToolCall, ToolDialect
from server.text.tool_calls import (
    MAX_HELD_SPACES,
    ArgumentsPiece,
    CallBegun,
    CallEnded,
    ReplyPiece,
    ToolCallParser,
    Words,
)
from tests.support.chat_templates import LLAMA3_TOOLS, MISTRAL_TOOLS

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
LLAMA = ChatTemplate(LLAMA3_TOOLS, VARIABLES).tool_dialect
MISTRAL = ChatTemplate(MISTRAL_TOOLS, VARIABLES).tool_dialect
NAMES = ("roll", "look")
ONE = ToolCall("1", "roll", '{"n": 6, "why": "a \\"b\\" } <tool_call> [happy]"}')
TWO = ToolCall("2", "look", '{"at": [{"x": {}}]}')


def parse(
    *chunks: str, dialect: ToolDialect = HERMES, single: bool = False, is_over: bool = True
) -> list[ReplyPiece]:
    """All pieces, with neighbours of one kind joined."""
    parser = ToolCallParser(dialect, NAMES, single=single)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
    if is_over:
        pieces += parser.finish()
    joined: list[ReplyPiece] = []
    for piece in pieces:
        match joined[-1:], piece:
            case [Words(before)], Words(text):
                joined[-1] = Words(before + text)
            case [ArgumentsPiece(before)], ArgumentsPiece(text):
                joined[-1] = ArgumentsPiece(before + text)
            case _:
                joined.append(piece)
    return joined


def call(one: ToolCall, *, is_whole: bool = True) -> list[ReplyPiece]:
    """What a call comes to."""
    return [CallBegun(one.name), ArgumentsPiece(one.arguments), CallEnded(is_whole)]


def test_text_is_text() -> None:
    """Without a marker nothing changes, spaces included."""
    for text in ("", " ", "Hello.", "  a < b \n\n{} ", "<tool_cal", "</tool_call>", "<" * 20):
        assert parse(text) == ([Words(text)] if text else [])


@pytest.mark.parametrize("dialect", [HERMES, LLAMA, MISTRAL])
def test_a_call_is_found(dialect: ToolDialect) -> None:
    """Its name first, then its arguments as they were written."""
    assert parse(dialect.write([ONE]), dialect=dialect) == call(ONE)


@pytest.mark.parametrize("dialect", [HERMES, MISTRAL])
def test_several_calls_with_text_before_them(dialect: ToolDialect) -> None:
    """Layout between them vanishes."""
    text = "Let me see.\n\n" + dialect.write([ONE, TWO]) + "\n"
    assert parse(text, dialect=dialect) == [Words("Let me see."), *call(ONE), *call(TWO)]


def test_text_between_and_after_calls_stays_in_its_place() -> None:
    """Without the line ends that set calls off."""
    text = f"{HERMES.write([ONE])}\nand\n{HERMES.write([TWO])}\n\n so "
    assert parse(text) == [*call(ONE), Words("and"), *call(TWO), Words("so ")]


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name":"roll","arguments":{"n": 6}}</tool_call>',
        '<tool_call>\n\n{ "arguments" : {"n": 6} , "name" : "roll" }\n</tool_call>',
        '<tool_call>{"id": "x", "type": {"a": "}"}, "name": "roll", "arguments": {"n": 6}}',
        '<tool_call>[{"name": "roll", "arguments": {"n": 6}}]</tool_call>',
        '<tool_call>{"name": "roll", "arguments": "{\\"n\\": 6}"}</tool_call>',
    ],
)
def test_sloppy_calls_are_understood(text: str) -> None:
    """Order, spaces, other members, lists and JSON in a string."""
    assert parse(text) == call(ToolCall("", "roll", '{"n": 6}'))


@pytest.mark.parametrize("arguments", ["", ', "arguments": null', ', "arguments": ""'])
def test_no_arguments_are_an_empty_object(arguments: str) -> None:
    """Clients parse them as JSON."""
    text = f'<tool_call>{{"name": "roll"{arguments}}}</tool_call>'
    assert parse(text) == call(ToolCall("", "roll", "{}"))


@pytest.mark.parametrize(
    "text",
    [
        "Write <tool_call> and then JSON.",
        "<tool_call>",
        '<tool_call>{"name',
        '<tool_call>{"nom": "roll"}</tool_call>',
        '<tool_call>{"name": 7}',
        '<tool_call>{"name": ""}',
        "<tool_call>{name: roll}",
        "<tool_call>[[",
        "<tool_call>" + " " * 100 + "{",
        '<tool_call>{"name": "' + "x" * 300 + '"}',
    ],
)
def test_a_marker_without_a_call_is_text(text: str) -> None:
    """Nothing is lost."""
    assert parse(text) == [Words(text)]


def test_a_call_after_a_marker_without_one_is_found() -> None:
    """What was taken for a call is read again."""
    assert parse("<tool_call>" + HERMES.write([ONE])) == [Words("<tool_call>"), *call(ONE)]


def test_without_a_marker_only_the_names_of_tools_make_a_call() -> None:
    """A reply may be JSON for other reasons, and speak of calls later."""
    for text in ('{"name": "Aoi"}', '{"a": 1}', "{", 'So: {"name": "roll", "parameters": {}}'):
        assert parse(text, dialect=LLAMA) == [Words(text)]
    assert parse(" \n" + LLAMA.write([TWO]), dialect=LLAMA) == call(TWO)


def test_only_the_first_call_counts_where_one_is_allowed() -> None:
    """The rest of the reply is dropped."""
    text = f"Well. {HERMES.write([ONE, TWO])} so"
    assert parse(text, single=True) == [Words("Well."), *call(ONE)]


def test_a_reply_that_ends_within_a_call_cuts_it_off() -> None:
    """What was written of the arguments has been handed on."""
    assert parse('<tool_call>{"name": "roll", "arguments": {"n": ') == [
        CallBegun("roll"),
        ArgumentsPiece('{"n": '),
        CallEnded(is_whole=False),
    ]


def test_a_call_that_breaks_off_is_cut_off() -> None:
    """What follows broken JSON cannot be told apart, and is dropped."""
    text = '<tool_call>{"name": "roll", "arguments": {"n": 6}]</tool_call> so'
    assert parse(text) == call(ToolCall("", "roll", '{"n": 6}'), is_whole=False)


def test_the_end_of_a_call_may_be_missing() -> None:
    """A stop token takes the closing marker's place, and the next call shows that one is over."""
    first, second = (HERMES.write([one]).removesuffix("</tool_call>") for one in (ONE, TWO))
    assert parse(first + second) == [*call(ONE), *call(TWO)]


def test_arguments_come_as_they_are_written() -> None:
    """Each chunk hands on what is certain; a marker is never shown in part."""
    parser = ToolCallParser(HERMES, NAMES)
    assert parser.feed("Hi <tool") == [Words("Hi")]
    assert parser.feed('_call>\n{"name": "ro') == []
    assert parser.feed('ll", "arguments": {"n"') == [CallBegun("roll"), ArgumentsPiece('{"n"')]
    assert parser.feed(": 6}}") == [ArgumentsPiece(": 6}"), CallEnded(is_whole=True)]
    assert parser.feed("\n</tool_call>") == []
    assert parser.finish() == []


def test_held_spaces_are_bounded() -> None:
    """A long run of spaces is shown."""
    parser = ToolCallParser(HERMES, NAMES)
    assert parser.feed("a" + " " * MAX_HELD_SPACES) == [Words("a")]
    assert parser.feed(" ") == [Words(" " * (MAX_HELD_SPACES + 1))]


@pytest.mark.parametrize("dialect", [HERMES, LLAMA, MISTRAL])
def test_chunks_do_not_matter(dialect: ToolDialect) -> None:
    """Random replies, cut at random, give what they give in one piece, and lose nothing."""
    draw = random.Random(5)
    snippets = [
        "Hello", " ", "\n\n", "<",
        "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[", "]", "{", "}",
        '"name": "roll"', ", ", dialect.write([ONE]), dialect.write([TWO]),
        dialect.write([ONE]) + "\n" + dialect.write([TWO]),
    ]  # fmt: skip
    for _ in range(400):
        text = "".join(draw.choices(snippets, k=draw.randrange(1, 6)))
        whole = parse(text, dialect=dialect)
        cuts = sorted(draw.choices(range(len(text) + 1), k=draw.randrange(12)))
        chunks = [text[begin:end] for begin, end in pairwise([0, *cuts, len(text)])]
        assert parse(*chunks, dialect=dialect) == whole
        assert parse(*text, dialect=dialect) == whole
        for begun, arguments, ended in zip(whole, whole[1:], whole[2:], strict=False):
            if isinstance(begun, CallBegun) and ended == CallEnded(is_whole=True):
                assert isinstance(arguments, ArgumentsPiece)
                json.loads(arguments.text)
