"""Reads one field of a card: forgiving where real cards are sloppy, strict where it protects.

Real cards say ``null`` for nothing, write numbers as text and versions as numbers, and leave out
what they do not use. All of that is read. A list where text should be is a mistake that somebody
must look at, so it is refused by its dotted path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from server.errors import CardError, CardErrorCode, shorten

MAX_LIST_LENGTH = 4_096
"""Members of one list of texts: tags, greetings, keys."""
MAX_TEXT_LENGTH = 1_000_000
"""Characters of one text; a context of a million tokens holds no more than a few of them."""
MAX_NUMBER = 2**53 - 1
"""Whole numbers that every JSON reader keeps (RFC 7493)."""
MAX_NUMBER_LENGTH = 32
"""Characters of a number that was written as text."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


def read_text(raw: Mapping[str, Any], key: str, path: str) -> str:
    """Read text; missing and ``null`` are empty, a number is text.

    Args:
        raw: The object that holds the field.
        key: The field.
        path: Where ``raw`` stands, for messages, such as ``"data."``.

    Raises:
        CardError: ``card_bad_field`` or ``card_too_large``.
    """
    value = raw.get(key)
    if value is None:
        return ""
    if isinstance(value, str):
        if len(value) > MAX_TEXT_LENGTH:
            raise CardError(
                CardErrorCode.TOO_LARGE,
                f"is {len(value)} characters long, and the limit is {MAX_TEXT_LENGTH}; "
                "move some of it into lorebook entries",
                key=f"{path}{key}",
            )
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise _bad(f"{path}{key}", value, "a string")


def read_texts(
    raw: Mapping[str, Any], key: str, path: str, *, commas: bool = False
) -> tuple[str, ...]:
    """Read a list of texts; ``null`` members are left out.

    Args:
        raw: The object that holds the field.
        key: The field.
        path: Where ``raw`` stands, for messages.
        commas: Split a single text at its commas; otherwise it is a list of one.

    Raises:
        CardError: ``card_bad_field``, ``card_too_large`` or ``card_too_many_entries``.
    """
    value = raw.get(key)
    if value is None:
        return ()
    if isinstance(value, str):
        parts = value.split(",") if commas else [value]
        value = [part.strip() if commas else part for part in parts if part.strip()]
    if not isinstance(value, list):
        raise _bad(f"{path}{key}", value, "a list of strings")
    if len(value) > MAX_LIST_LENGTH:
        raise too_many(f"{path}{key}", len(value), MAX_LIST_LENGTH)
    return tuple(
        read_text({f"{key}[{index}]": member}, f"{key}[{index}]", path)
        for index, member in enumerate(value)
        if member is not None
    )


def read_flag(raw: Mapping[str, Any], key: str, path: str, *, default: bool) -> bool:
    """Read a truth value; 0 and 1 are taken too.

    Raises:
        CardError: ``card_bad_field``.
    """
    value = raw.get(key)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("", "true", "false"):
        return value.lower() == "true"
    raise _bad(f"{path}{key}", value, "true or false")


def read_number(raw: Mapping[str, Any], key: str, path: str) -> int | None:
    """Read a whole number; text that holds one is taken, a fraction is rounded down.

    Returns:
        ``None`` where it is missing, ``null`` or empty text.

    Raises:
        CardError: ``card_bad_field``.
    """
    value = raw.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    number: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and len(value) <= MAX_NUMBER_LENGTH:
        try:
            number = float(value)
        except ValueError:
            number = None
    if number is None or not -MAX_NUMBER <= number <= MAX_NUMBER:
        raise _bad(f"{path}{key}", value, f"a number from -{MAX_NUMBER} to {MAX_NUMBER}")
    return math.floor(number)


def read_table(raw: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    """Read an object, as a view of the raw one; missing, ``null`` and ``[]`` are empty.

    Raises:
        CardError: ``card_bad_field``.
    """
    value = raw.get(key)
    # PHP writes an empty object as an empty list.
    if value is None or value == []:
        return NOTHING
    if not isinstance(value, Mapping):
        raise _bad(f"{path}{key}", value, "an object")
    return MappingProxyType(dict(value))


def too_many(key: str, count: int, limit: int) -> CardError:
    """Make the error for a list that is too long."""
    return CardError(
        CardErrorCode.TOO_MANY_ENTRIES,
        f"holds {count}, and the limit is {limit}; split it or leave some out",
        key=key,
    )


def _bad(key: str, value: object, expected: str) -> CardError:
    return CardError(CardErrorCode.BAD_FIELD, f"is {_show(value)}; it must be {expected}", key=key)


def _show(value: object) -> str:
    """Show a value without writing a huge one out first."""
    match value:
        case list():
            return f"a list of {len(value)}"
        case Mapping():
            return f"an object of {len(value)} keys"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) > 10**40:
            return "a number of more than 40 digits"
        case _:
            return shorten(value)
