"""Reads fields of a card as real cards write them: missing is empty, ``null`` is missing.

What a field cannot be is refused by its path; what it merely should not be is read as it is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.cards.limits import MAX_FIELD_CHARACTERS, MAX_LIST_ITEMS
from server.errors import CardError, shorten


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of a card.

    Attributes:
        raw: As it was written; never changed.
        file: For messages.
        path: Where it stands in the card; empty for the top.
    """

    raw: Mapping[str, Any]
    file: str
    path: str = ""

    def error(self, name: str, problem: str, code: str = "bad_field") -> CardError:
        """Say what is wrong with a field."""
        return CardError(self.file, code, problem, key=f"{self.path}{name}")

    def text(self, name: str) -> str:
        """A text; numbers are taken for their digits."""
        value = self.raw.get(name)
        if value is None:
            return ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{value:g}"
        if not isinstance(value, str):
            raise self.error(name, f"is {shorten(value)}; it must be a text")
        if len(value) > MAX_FIELD_CHARACTERS:
            raise self.error(
                name,
                f"has {len(value)} characters, and at most {MAX_FIELD_CHARACTERS} are read",
                "too_large",
            )
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; one text stands for a list of one, and what is no text is left out."""
        value = self.raw.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            raise self.error(name, f"is {shorten(value)}; it must be a list of texts")
        if len(value) > MAX_LIST_ITEMS:
            raise self.error(
                name,
                f"has {len(value)} items, and at most {MAX_LIST_ITEMS} are read",
                "too_many_items",
            )
        inner = Fields(
            {str(i): one for i, one in enumerate(value)}, self.file, f"{self.path}{name}."
        )
        return tuple(inner.text(str(i)) for i, one in enumerate(value) if isinstance(one, str))

    def number(self, name: str, default: float = 0) -> float:
        """A number, also one written as a text."""
        value = self.raw.get(name)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        if value is None or isinstance(value, bool):
            return default
        if not isinstance(value, int | float) or not -1e9 <= value <= 1e9:
            raise self.error(name, f"is {shorten(value)}; it must be a number up to 1e9")
        return value

    def count(self, name: str) -> int | None:
        """A number of things; ``None`` where it is not said or makes no sense."""
        value = self.number(name, -1)
        return int(value) if value >= 0 else None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Yes or no; ``null`` is the default."""
        value = self.raw.get(name)
        if value is None:
            return default
        return (
            value.strip().lower() not in ("", "false", "0")
            if isinstance(value, str)
            else bool(value)
        )

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object; an empty list stands for none, as PHP writes it."""
        value = self.raw.get(name)
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            raise self.error(name, f"is {shorten(value)}; it must be an object")
        return value

    def inner(self, name: str) -> Fields:
        """The fields of an object in it."""
        return Fields(self.mapping(name), self.file, f"{self.path}{name}.")
