"""A card's JSON, strictly: RFC 8259, and of I-JSON (RFC 7493) unique names and no lone surrogates.

What two readers would understand differently is refused, because the card that was looked at should
be the card that speaks. Depth and the number of values are counted before anything is built.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from server.errors import CardError, CardErrorCode, shorten

MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
"""Brackets inside brackets; cards of the wild nest about eight deep."""
MAX_VALUES = 500_000
"""Members of all lists and objects: a book of 10,000 entries has about 300,000."""
MAX_DIGITS = 40
"""Characters of one whole number."""

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(data: bytes) -> dict[str, Any]:
    """Read one JSON object.

    Args:
        data: UTF-8, with or without a byte order mark.

    Raises:
        CardError: ``card_too_large``, ``card_too_deep``, ``card_too_many_entries`` or
            ``card_bad_json``.
    """
    if len(data) > MAX_JSON_BYTES:
        raise CardError(
            CardErrorCode.TOO_LARGE,
            f"the JSON is {len(data)} bytes, and the limit is {MAX_JSON_BYTES}; "
            "take pictures or lore out of it",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(f"the JSON is not UTF-8 at byte {error.start}") from None
    _check_size(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_make_object,
            parse_constant=_refuse_constant,
            parse_float=_read_float,
            parse_int=_read_int,
        )
    except json.JSONDecodeError as error:
        raise _bad(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if not isinstance(value, dict):
        raise _bad("a card is a JSON object, and this is another value")
    if _SURROGATE_ESCAPE.search(text):
        try:
            write_json(value)
        except UnicodeEncodeError:
            raise _bad(
                "a text holds half a surrogate pair; save it with whole characters"
            ) from None
    return value


def write_json(value: object) -> bytes:
    """Write JSON as UTF-8; ``parse_json`` reads the same values from it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _check_size(text: str) -> None:
    """Count depth and values outside of strings; the parser would recurse and build first."""
    bare = _STRING.sub("", text)
    count = bare.count(",") + bare.count("[") + bare.count("{")
    if count > MAX_VALUES:
        raise CardError(
            CardErrorCode.TOO_MANY_ENTRIES,
            f"the JSON holds about {count} values, and the limit is {MAX_VALUES}; split the book",
        )
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise CardError(
                CardErrorCode.TOO_DEEP,
                f"brackets are nested deeper than {MAX_DEPTH} levels; flatten the card",
            )


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _bad(f"the key {shorten(name)} is in one object twice; keep one of them")
            seen.add(name)
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise _bad(f"{name} is no JSON number")


def _read_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _bad(f"the number {shorten(digits)} is too large")
    return number


def _read_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _bad(f"a number has {len(digits)} digits, and the limit is {MAX_DIGITS}")
    return int(digits)


def _bad(message: str) -> CardError:
    return CardError(CardErrorCode.BAD_JSON, message)
