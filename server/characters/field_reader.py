"""Reads what a character's author may set beside its words; a TOML file and a card ask alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import InvalidParameter
from server.errors import ServerError, shorten
from server.sampling import SAMPLING_TYPES, build_sampling_params
from server.text.tag_rules import MAX_TAG_NAMES, TAG_NAME

MAX_GREETINGS = 1000

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_STYLE = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_COLOURS = ("hair", "eyes", "skin", "accent")
_AVATAR_KEYS = (*_COLOURS, "style")


class FieldReader:
    """Checks one value after the other.

    Args:
        error: Makes what is raised of a dotted path and what is wrong there.
    """

    def __init__(self, error: Callable[[str, str], ServerError]) -> None:
        self._error = error

    def refuse_unknown(self, table: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
        """Find a key that means nothing.

        Raises:
            ServerError: There is one; here and in all that follows what ``error`` makes.
        """
        for key in table:
            if key not in known:
                raise self._error(
                    f"{prefix}{key[:80]}", f"unknown key; there are {', '.join(known)}"
                )

    def text(self, table: Mapping[str, Any], key: str) -> str:
        """A text; empty where there is none."""
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self._error(key, f"is {shorten(value)}; it must be a string")
        return value

    def texts(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._error(key, f"is {shorten(value)}; it must be a list of strings")
        if len(value) > MAX_GREETINGS:
            raise self._error(key, f"has {len(value)} items; there may be {MAX_GREETINGS}")
        return tuple(value)

    def table(self, table: Mapping[str, Any], key: str) -> dict[str, Any]:
        """A table in a table."""
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self._error(key, f"is {shorten(value)}; it must be a table [{key}]")
        return value

    def tag_names(
        self, table: Mapping[str, Any], key: str, default: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Names of faces or motions."""
        value = table.get(key, list(default))
        if not isinstance(value, list) or len(value) > MAX_TAG_NAMES:
            raise self._error(key, f"must be a list of at most {MAX_TAG_NAMES} names")
        seen: set[str] = set()
        for index, name in enumerate(value):
            if not isinstance(name, str) or not TAG_NAME.fullmatch(name):
                raise self._error(
                    f"{key}[{index}]",
                    f"is {shorten(name)}; a name is a letter and up to 31 letters, digits, "
                    "'-' or '_'",
                )
            if name.lower() in seen:
                raise self._error(f"{key}[{index}]", f"{name!r} is there twice")
            seen.add(name.lower())
        return tuple(value)

    def sampling(self, table: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
        """Ways of sampling under their wire names, and the longest reply."""
        self.refuse_unknown(table, (*SAMPLING_TYPES, "max_output_tokens"), "sampling.")
        sampling = dict(table)
        limit = sampling.pop("max_output_tokens", None)
        for key, value in sampling.items():
            kinds = SAMPLING_TYPES[key]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                names = " or ".join(kind.__name__ for kind in kinds)
                raise self._error(f"sampling.{key}", f"is {shorten(value)}; it must be {names}")
        if isinstance(limit, bool) or not isinstance(limit, int | None):
            raise self._error(
                "sampling.max_output_tokens", f"is {shorten(limit)}; it must be a whole number"
            )
        try:
            build_sampling_params(sampling, max_tokens=limit)
        except InvalidParameter as error:
            name = "max_output_tokens" if error.param == "max_tokens" else error.param
            raise self._error(
                f"sampling.{name}", f"is {shorten(error.value)}; it must be {error.expected}"
            ) from None
        return sampling, limit

    def avatar(self, table: dict[str, Any]) -> dict[str, str]:
        """Colours and a style."""
        self.refuse_unknown(table, _AVATAR_KEYS, "avatar.")
        for key, value in table.items():
            pattern, form = (
                (_COLOUR, "a colour such as '#3a4a6b'")
                if key in _COLOURS
                else (_STYLE, "a word in lower case")
            )
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise self._error(f"avatar.{key}", f"is {shorten(value)}; it must be {form}")
        return dict(table)
