"""Reads a card's JSON, strictly: what two readers may understand differently is refused."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from server.cards.limits import MAX_DEPTH, MAX_DIGITS, MAX_JSON_BYTES
from server.errors import CardError, shorten


def parse_json(data: bytes, *, file: str) -> dict[str, Any]:
    """Read an object.

    Raises:
        CardError: ``card_too_large``, ``card_too_deep`` or ``card_bad_json``.
    """
    if len(data) > MAX_JSON_BYTES:
        raise CardError(
            file,
            "too_large",
            f"its JSON has {len(data)} bytes, and at most {MAX_JSON_BYTES} are read; take lore or "
            "embedded files out",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(file, f"is not UTF-8 at byte {error.start}") from None
    _check_depth(text, file)

    def refuse_constant(name: str) -> NoReturn:
        raise _bad(file, f"holds {name}, which is no JSON")

    def read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        read = dict(pairs)
        if len(read) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _bad(file, f"has the key {shorten(twice)} twice in one object")
        return read

    def read_number(digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            raise _bad(file, f"holds a number of {len(digits)} digits")
        return int(digits)

    try:
        value = json.loads(
            text,
            parse_constant=refuse_constant,
            object_pairs_hook=read_pairs,
            parse_int=read_number,
        )
        text.encode()
    except json.JSONDecodeError as error:
        raise _bad(file, f"is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(value, dict):
        raise _bad(file, "is JSON, but no object")
    _check_surrogates(value, file)
    return value


def write_json(value: object) -> bytes:
    """Write JSON as UTF-8; what ``parse_json`` has read comes out with the same values."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _check_depth(text: str, file: str) -> None:
    """Count brackets outside of strings; the parser itself would recurse."""
    depth = place = 0
    while place < len(text):
        symbol = text[place]
        if symbol == '"':
            place += 1
            while place < len(text) and text[place] != '"':
                place += 2 if text[place] == "\\" else 1
        elif symbol in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise CardError(
                    file,
                    "too_deep",
                    f"nests deeper than {MAX_DEPTH} levels, which no card needs; flatten it",
                )
        elif symbol in "]}":
            depth -= 1
        place += 1


def _check_surrogates(value: dict[str, Any], file: str) -> None:
    """Refuse halves of characters: they can be read but never written."""
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and not _is_whole(one):
            raise _bad(file, f"holds half a character (a lone surrogate) in {shorten(one)}")
        elif isinstance(one, float) and one in (float("inf"), float("-inf")):
            raise _bad(file, "holds a number that is too large")


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bad(file: str, problem: str) -> CardError:
    return CardError(file, "bad_json", problem)
