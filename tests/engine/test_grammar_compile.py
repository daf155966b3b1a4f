"""What compiles, what is refused, and that neither takes long."""

from __future__ import annotations

import json
import threading
import time

import pytest

from engine.errors import InvalidGrammar
from engine.grammar.compile import compile_grammar
from engine.grammar.compile_threads import CompileThreads
from engine.grammar.source import MAX_CHOICES, MAX_REFERENCES, MAX_RULES
from engine.grammar.state import CompiledGrammar
from engine.grammar.tokens import vocabulary_of
from engine.sampling_params import Grammar, GrammarKind
from tests.support.grammars import draw_reply, tiny_tokenizer
from tests.support.tiny_models import EOS, VOCAB_SIZE

TOKENIZER = tiny_tokenizer()
VOCABULARY = vocabulary_of(TOKENIZER, VOCAB_SIZE)
HOSTILE_S = 15.0
"""Generous: what matters is that it ends."""


def compiled(kind: GrammarKind, source: str) -> CompiledGrammar:
    """Compile for the tiny models' tokenizer."""
    return compile_grammar(Grammar(kind=kind, source=source), VOCABULARY)


def replies(kind: GrammarKind, source: str, count: int = 20) -> set[str]:
    """Texts of random replies."""
    grammar = compiled(kind, source)
    return {TOKENIZER.decode(draw_reply(grammar, [EOS], seed)) for seed in range(count)}


def test_choices_are_taken_as_they_are() -> None:
    """Quotes, slashes, other scripts and prefixes of each other are no obstacle."""
    choices = ["yes", "yes, please", 'say "no"', "a\\b/c", "はい", "line\nfeed"]
    assert replies("choice", json.dumps(choices), 200) == set(choices)


@pytest.mark.parametrize("source", ["ab|cd", "^ab|cd$", "^(ab|cd)$", "(?:ab|cd)"])
def test_a_regex_spans_the_whole_reply(source: str) -> None:
    """Anchors at both ends may be written and change nothing."""
    assert replies("regex", source) == {"ab", "cd"}


def test_an_escaped_dollar_stays() -> None:
    """Only an anchor is taken away."""
    assert replies("regex", r"[0-9]\$") <= {f"{digit}$" for digit in range(10)}
    assert replies("regex", r"a\\$") == {"a\\"}


def test_digits_are_ascii() -> None:
    """The class of digits is one of ten."""
    assert all(text.isascii() for text in replies("regex", r"\d{3}"))


def test_a_schema_cannot_switch_the_checks_off() -> None:
    """The library's own keyword in a schema has no effect."""
    schema = {"type": "integer", "minimum": 1, "maximum": 3, "x-guidance": {"lenient": True}}
    assert replies("json_schema", json.dumps(schema)) <= {"1", "2", "3"}
    with pytest.raises(InvalidGrammar, match="Unimplemented"):
        compiled("json_schema", json.dumps({"not": {}, "x-guidance": {"lenient": True}}))


def test_the_empty_schema_and_true_allow_any_json() -> None:
    """``{}`` and ``true`` are schemas like any other."""
    for source in ("{}", "true"):
        values = [json.loads(text) for text in replies("json_schema", source)]
        assert len({type(value) for value in values}) > 1


@pytest.mark.parametrize(
    ("kind", "source", "reason"),
    [
        ("json_schema", "{", "not a JSON schema"),
        ("json_schema", "[]", "JSON array"),
        ("json_schema", "false", "JSON false"),
        ("json_schema", '{"minimum": NaN}', "NaN is no JSON"),
        ("json_schema", '{"type": "nonsense"}', "Invalid type"),
        ("json_schema", '{"type": "string", "minLength": 5, "maxLength": 2}', "Unsatisfiable"),
        ("json_schema", '{"$ref": "#"}', "allows no reply"),
        ("json_schema", '{"$ref": "http://example.com/x.json"}', "retrieving it failed"),
        ("json_schema", '{"$ref": "file:///etc/passwd"}', "retrieving it failed"),
        ("regex", "", "empty reply"),
        ("regex", "^$", "empty reply"),
        ("regex", "a(", "unclosed group"),
        ("regex", "(?=a)b", "look-around"),
        ("regex", r"(a)\1", "backreferences"),
        ("choice", "yes", "not a JSON array"),
        ("choice", '"yes"', "no JSON array of strings"),
        ("choice", "[1]", "no JSON array of strings"),
        ("choice", "[]", "offers nothing"),
        ("choice", '["a", ""]', "empty text"),
        ("lark", "", "no start rule"),
        ("lark", "start: other", "unknown name"),
        ("lark", "start: <|nobody|>", "vocabulary does not have"),
        ("lark", "start: <[1]>", "allows no reply"),
        ("lark", "start: start", "allows no reply"),
    ],
)
def test_what_is_wrong_is_said(kind: GrammarKind, source: str, reason: str) -> None:
    """One sentence with the reason and a way out, under the field's name."""
    with pytest.raises(InvalidGrammar, match=reason) as caught:
        compiled(kind, source)
    assert caught.value.code == "invalid_grammar"
    assert caught.value.param == "grammar"
    assert "; " in caught.value.message
    assert "\n" not in caught.value.message


HOSTILE: dict[str, tuple[GrammarKind, str]] = {
    "deep schema": ("json_schema", '{"items":' * 5000 + "{}" + "}" * 5000),
    "deep schema within JSON's own limit": ("json_schema", '{"items":' * 90 + "{}" + "}" * 90),
    "deep regex": ("regex", "(" * 20000 + "a" + ")" * 20000),
    "deep lark": ("lark", "start: " + "(" * 20000 + '"a"' + ")" * 20000),
    "a chain of rules": (
        "lark",
        "start: r0\n" + "".join(f"r{i}:r{i + 1}\n" for i in range(4000)) + 'r4000:"a"',
    ),
    "a chain of references": (
        "json_schema",
        json.dumps(
            {
                "$ref": "#/$defs/0",
                "$defs": {str(i): {"items": {"$ref": f"#/$defs/{i + 1}"}} for i in range(1500)},
            }
        ),
    ),
    "too many choices": ("choice", json.dumps([f"{i}" for i in range(100_000)][:7000])),
    "a complement": ("lark", "start: X\nX: ~/[ab]*a[ab]{22}/"),
    "too much determinisation": (
        "lark",
        "start: X\nX: /(.*a.{12}.*)/ & /(.*b.{12}.*)/ & /(.*c.{11}.*)/",
    ),
    "a product of alternatives": (
        "json_schema",
        json.dumps(
            {
                "allOf": [
                    {"anyOf": [{"properties": {f"{i}{j}": {"minLength": 3}}} for j in range(9)]}
                    for i in range(9)
                ]
            }
        ),
    ),
    "a record too wide": (
        "json_schema",
        json.dumps({"type": "object", "properties": {f"k{i}": {} for i in range(3000)}}),
    ),
    "an intersection of patterns": (
        "json_schema",
        json.dumps({"allOf": [{"type": "string", "pattern": f"{c}.{{12}}"} for c in "abc"]}),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_grammars_end_soon(name: str) -> None:
    """Each is refused, or followed with bounded work per token until it fails alone.

    They are compiled as in the engine: in a thread with a deep stack, since a native stack that
    overflows would end the process and not raise.
    """
    outcome: list[object] = []
    done = threading.Event()

    def job() -> None:
        try:
            grammar = compiled(*HOSTILE[name])
            draw_reply(grammar, [EOS], 0, longest=60)
            outcome.append("followed")
        except (InvalidGrammar, AssertionError) as error:
            outcome.append(error)
        done.set()

    started = time.perf_counter()
    CompileThreads()(job)
    assert done.wait(HOSTILE_S)
    assert time.perf_counter() - started < HOSTILE_S
    assert outcome


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("lark", "start: r0\n" + "".join(f"r{i}: r{i + 1}\n" for i in range(MAX_RULES))),
        ("choice", json.dumps(["a"] * (MAX_CHOICES + 1))),
        ("json_schema", json.dumps({"anyOf": [{"$ref": "#/$defs/a"}] * (MAX_REFERENCES + 1)})),
    ],
)
def test_counts_are_bounded(kind: GrammarKind, source: str) -> None:
    """What makes the compiler recurse is counted first, and the limit is named."""
    with pytest.raises(InvalidGrammar, match="at most"):
        compiled(kind, source)


def test_as_many_rules_and_references_as_allowed_do_not_overflow_a_stack() -> None:
    """The bounds hold for an ordinary thread's stack as well."""
    last = MAX_RULES - 2
    chain = "".join(f"r{i}: r{i + 1}\n" for i in range(last))
    compiled("lark", f'start: r0\n{chain}r{last}: "a"')
    defs: dict[str, object] = {
        str(i): {"items": {"$ref": f"#/$defs/{i + 1}"}} for i in range(MAX_REFERENCES - 1)
    }
    defs[str(MAX_REFERENCES - 1)] = {"type": "integer"}
    compiled("json_schema", json.dumps({"$ref": "#/$defs/0", "$defs": defs}))
