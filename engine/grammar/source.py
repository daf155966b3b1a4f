"""A grammar as a caller writes it becomes one text in llguidance's Lark notation.

What could hurt is refused here by counting, before anything is compiled: the compiler recurses
over rules and references, and its native stack does not raise. What is merely wrong is left to the
compiler, whose messages are better than anything that could be said from here.

Between the parts of JSON there may be one space, or a line feed with some indentation. JSON allows
any amount of whitespace, but a weak model that has begun to indent would indent for ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from llguidance import regex_to_lark

from engine.errors import InvalidGrammar
from engine.sampling_params import Grammar

MAX_DEPTH = 64
"""Nesting of arrays and objects in a JSON schema, and of brackets in a regular expression."""
MAX_REFERENCES = 500
"""``$ref`` in a JSON schema."""
MAX_RULES = 1000
"""Rules and terminals of a Lark grammar."""
MAX_CHOICES = 4096

_WHITESPACE = r"\x20|\x0A[\x20\x09]{0,16}"
# Tokens are never forced: a mask holds every token with which the text can go on, so that only the
# model chooses how a text is cut into tokens, and a ban leaves other ways to write the same.
_OPTIONS = '\n%llguidance {"no_forcing": true, "allow_invalid_utf8": false}\n'
_LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|/(?:\\.|[^/\\\n])+/|//.*')
_COMPLEMENT = re.compile(r"~\s*[^\s\d]")
_RULE = re.compile(r"^\s*[?!]*[A-Za-z_]\w*", re.MULTILINE)


def lark_of(grammar: Grammar) -> str:
    """Return the grammar in Lark's notation.

    Raises:
        InvalidGrammar: It is not what its kind says, or larger than may be compiled.
    """
    match grammar.kind:
        case "json_schema":
            return f"start: %json {json.dumps(_schema(grammar.source))}" + _OPTIONS
        case "regex":
            return f"start: EXPRESSION\nEXPRESSION: /{_regex(grammar.source)}/" + _OPTIONS
        case "choice":
            choices = " | ".join(json.dumps(choice) for choice in _choices(grammar.source))
            return f"start: CHOICE\nCHOICE: {choices}" + _OPTIONS
        case "lark":
            return _lark(grammar.source) + _OPTIONS


def _schema(source: str) -> dict[str, Any]:
    schema = _read_json(source, "a JSON schema")
    if schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise InvalidGrammar(
            f"is no JSON schema but JSON {_kind(schema)}", "write an object such as {}"
        )
    num_references = 0
    for depth, value in _walk(schema):
        if depth > MAX_DEPTH:
            raise InvalidGrammar(
                f"nests deeper than {MAX_DEPTH} levels", "describe inner levels by $ref to $defs"
            )
        num_references += isinstance(value, dict) and "$ref" in value
    if num_references > MAX_REFERENCES:
        raise InvalidGrammar(
            f"has {num_references} $ref, and at most {MAX_REFERENCES} are followed",
            "write some of them out",
        )
    # llguidance's own switches: they could turn the checks off that make the result valid
    return {**schema, "x-guidance": {"whitespace_pattern": _WHITESPACE}}


def _regex(source: str) -> str:
    depth = deepest = 0
    for symbol in re.sub(r"\\.", "", source, flags=re.DOTALL):
        depth += (symbol in "([{") - (symbol in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise InvalidGrammar(
            f"has brackets nested {deepest} deep, and at most {MAX_DEPTH} are followed",
            "simplify the expression",
        )
    # the whole reply has to match anyway
    if source.startswith("^"):
        source = source[1:]
    if re.search(r"(?<!\\)(\\\\)*\$\Z", source):
        source = source[:-1]
    if not source:
        raise InvalidGrammar("allows only an empty reply", "write an expression that matches text")
    return regex_to_lark(source, use_ascii="d")  # a digit is one of ten, as callers mean it


def _choices(source: str) -> list[str]:
    choices = _read_json(source, "a JSON array of strings")
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise InvalidGrammar("is no JSON array of strings", 'write it as ["one", "another"]')
    if not choices or "" in choices:
        raise InvalidGrammar("offers nothing or an empty text", "name at least one text")
    if len(choices) > MAX_CHOICES:
        raise InvalidGrammar(
            f"offers {len(choices)} choices, and at most {MAX_CHOICES} are compared",
            "describe them by a regular expression",
        )
    return choices


def _lark(source: str) -> str:
    num_rules = len(_RULE.findall(source))
    if num_rules > MAX_RULES:
        raise InvalidGrammar(
            f"has {num_rules} rules, and at most {MAX_RULES} are compiled", "join some of them"
        )
    if _COMPLEMENT.search(_LITERAL.sub("", source)):
        raise InvalidGrammar(
            "uses the complement (~), which can take any amount of work to compile",
            "say what is allowed and not what is not",
        )
    return source


def _read_json(source: str, what: str) -> Any:
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(source, parse_constant=refuse)
    except RecursionError:
        way_out = "describe inner levels by $ref to $defs"
        raise InvalidGrammar(f"nests deeper than {MAX_DEPTH} levels", way_out) from None
    except ValueError as error:
        raise InvalidGrammar(f"is not {what}: {error}", "write it as valid JSON") from None


def _walk(value: Any) -> Iterator[tuple[int, Any]]:
    """Every value in a JSON text with its depth; no recursion, since depth is what is measured."""
    waiting = [(1, value)]
    while waiting:
        depth, value = waiting.pop()
        yield depth, value
        if isinstance(value, dict):
            waiting.extend((depth + 1, inner) for inner in value.values())
        elif isinstance(value, list):
            waiting.extend((depth + 1, inner) for inner in value)


def _kind(value: object) -> str:
    return {list: "array", str: "string", bool: "false", type(None): "null"}.get(
        type(value), "number"
    )
