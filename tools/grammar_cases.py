"""Random grammars of every kind, each with a judge that knows nothing of how it is followed.

JSON is judged by the ``jsonschema`` package, regular expressions by Python's ``re``, choices by
looking, and Lark grammars, which are all of one form, by a parser of a few lines. Every case can
be finished within some hundred tokens, whatever a model with random weights makes of it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jsonschema

from engine.sampling_params import Grammar

_WORDS = ["cat", "hill", "東京", "née", 'a "quote"', "back\\slash", "x/y", "{}", "two words", "🙂"]


@dataclass(frozen=True)
class Case:
    """A grammar and what is true of every reply that follows it to its end."""

    grammar: Grammar
    judge: Callable[[str], bool]


def random_case(rng: random.Random) -> Case:
    """Draw a case; the same generator state gives the same case."""
    return rng.choice([_json_case, _json_case, _regex_case, _choice_case, _lark_case])(rng)


def _json_case(rng: random.Random) -> Case:
    schema = _schema(rng, depth=3)
    validator = jsonschema.Draft202012Validator(schema)

    def judge(text: str) -> bool:
        try:
            return bool(validator.is_valid(json.loads(text)))
        except ValueError:
            return False

    return Case(Grammar(kind="json_schema", source=json.dumps(schema)), judge)


def _schema(rng: random.Random, depth: int) -> dict[str, Any]:
    flat = [_text, _number, _constant, _pattern, _simple]
    nested = [_record, _record, _list, _either]
    return rng.choice(flat if depth == 0 else nested + flat)(rng, depth)


def _text(rng: random.Random, depth: int) -> dict[str, Any]:
    low = rng.randrange(3)
    return {"type": "string", "minLength": low, "maxLength": low + rng.randrange(12)}


def _number(rng: random.Random, depth: int) -> dict[str, Any]:
    low = rng.randrange(-1000, 1000)
    return {"type": "integer", "minimum": low, "maximum": low + rng.randrange(2000)}


def _constant(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"enum": rng.sample([*_WORDS, 1, -2.5, True, None], rng.randrange(1, 5))}


def _pattern(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{_expression(rng, 2)}$"}


def _simple(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"type": rng.choice(["boolean", "null"])}


def _record(rng: random.Random, depth: int) -> dict[str, Any]:
    names = rng.sample(["name", "age", "心", "a b", "x-y", 'q"', "n0"], rng.randrange(1, 5))
    return {
        "type": "object",
        "properties": {name: _schema(rng, depth - 1) for name in names},
        "required": [name for name in names if rng.random() < 0.7],
        "additionalProperties": False,
    }


def _list(rng: random.Random, depth: int) -> dict[str, Any]:
    low = rng.randrange(2)
    items = _schema(rng, depth - 1)
    return {"type": "array", "items": items, "minItems": low, "maxItems": low + rng.randrange(3)}


def _either(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [_schema(rng, depth - 1) for _ in range(rng.randrange(1, 4))]}


def _regex_case(rng: random.Random) -> Case:
    source = _expression(rng, 3)
    compiled = re.compile(source)
    return Case(
        Grammar(kind="regex", source=source), lambda text: compiled.fullmatch(text) is not None
    )


def _expression(rng: random.Random, depth: int) -> str:
    """Never empty, and bounded in what it matches."""
    if depth == 0:
        return rng.choice(
            ["[a-z]", "[0-9A-F]", "[ぁ-ん]", "x", "dog", "é", r"\.", "[^a-zA-Z\\n]", "/"]
        )
    shape = rng.randrange(4)
    inner = _expression(rng, depth - 1)
    if shape == 0:
        return inner + _expression(rng, depth - 1)
    if shape == 1:
        return f"(?:{inner}|{_expression(rng, depth - 1)})"
    if shape == 2:
        low = rng.randrange(1, 4)
        return f"(?:{inner}){{{low},{low + rng.randrange(3)}}}"
    return f"{_expression(rng, depth - 1)}(?:{inner})?"


def _choice_case(rng: random.Random) -> Case:
    choices = rng.sample([*_WORDS, *(f"{word}!" for word in _WORDS)], rng.randrange(1, 8))
    source = json.dumps(choices, ensure_ascii=rng.random() < 0.5)
    return Case(Grammar(kind="choice", source=source), lambda text: text in choices)


def _lark_case(rng: random.Random) -> Case:
    """Bracketed lists of words, nested to a depth that the rules themselves bound."""
    words = rng.sample(["on", "off", "赤", "blue"], rng.randrange(1, 4))
    depth = rng.randrange(1, 4)
    rules = [f'r{level}: WORD | "(" r{level + 1} (" " r{level + 1})? ")"' for level in range(depth)]
    word = "WORD: " + " | ".join(json.dumps(word) for word in words)
    source = "\n".join(["start: r0", *rules, f"r{depth}: WORD", word])

    def judge(text: str) -> bool:
        for _ in range(depth):
            text = re.sub(f"\\((?:{'|'.join(words)})(?: (?:{'|'.join(words)}))?\\)", words[0], text)
        return text in words

    return Case(Grammar(kind="lark", source=source), judge)
