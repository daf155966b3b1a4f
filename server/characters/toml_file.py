"""Reads a character's TOML file; what cannot be used is refused by its dotted path.

::

    name = "Aoi"                       sampling and avatar are optional, and so is every key
    name_ja = "葵"                     but name and prompt
    prompt = \"\"\"You are Aoi …\"\"\"
    expressions = ["happy", "sad"]     VRM's six when left out; [] switches them off
    motions = ["wave", "nod"]          none when left out
    model = "kaiwa-demo"               the engine it was made for; told once when another serves

    [sampling]
    temperature = 0.8
    max_output_tokens = 300

    [avatar]
    hair = "#3a4a6b"
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine.errors import InvalidParameter
from server.characters.character import VRM_EXPRESSIONS, Character
from server.errors import CharacterFileError, shorten
from server.protocol.character_objects import LocalizedText
from server.sampling import SAMPLING_TYPES, build_sampling_params
from server.text.tag_rules import MAX_TAG_NAMES, TAG_NAME

MAX_FILE_BYTES = 256 * 1024

_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_STYLE = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TEXTS = ("name", "name_ja", "description", "description_ja", "greeting", "greeting_ja", "prompt")
_KEYS = (*_TEXTS, "model", "expressions", "motions", "sampling", "avatar")
_COLOURS = ("hair", "eyes", "skin", "accent")
_AVATAR_KEYS = (*_COLOURS, "style")


def load_character(path: Path) -> Character:
    """Read one file; the character's id is the file's name without ``.toml``.

    Raises:
        CharacterFileError: It cannot be read or used; says file, key and what would do.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CharacterFileError(path.name, f"cannot be read: {error.strerror}") from None
    return parse_character(path.stem, data, file=path.name)


def parse_character(id: str, data: bytes, *, file: str) -> Character:
    """Make a character of a file's bytes.

    Raises:
        CharacterFileError: As for ``load_character``.
    """
    if len(data) > MAX_FILE_BYTES:
        raise CharacterFileError(
            file, f"is larger than {MAX_FILE_BYTES} bytes; move lore out of the prompt"
        )
    if not _ID.fullmatch(id):
        raise CharacterFileError(
            file,
            f"{shorten(id)} cannot be a character's id; name the file with up to 64 lower case "
            "letters, digits, '-', '_' and '.'",
        )
    try:
        table = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise CharacterFileError(file, f"is not UTF-8 at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise CharacterFileError(file, f"is not TOML: {error}") from None
    except RecursionError:
        raise CharacterFileError(file, "is nested too deeply") from None
    return _Reader(file).read(id, table)


class _Reader:
    """Reads one file's tables; knows the file's name for messages."""

    def __init__(self, file: str) -> None:
        self._file = file

    def read(self, id: str, table: dict[str, Any]) -> Character:
        self._refuse_unknown(table, _KEYS, "")
        texts = {key: self._text(table, key) for key in _TEXTS}
        for key in ("name", "prompt"):
            if not texts[key].strip():
                raise self._error(key, "must be there and not be empty")
        sampling, max_output_tokens = self._sampling(self._table(table, "sampling"))
        return Character(
            id=id,
            name=_localized(texts, "name"),
            description=_localized(texts, "description"),
            greeting=_localized(texts, "greeting"),
            prompt=texts["prompt"].strip(),
            model=self._text(table, "model") or None,
            expressions=self._tag_names(table, "expressions", VRM_EXPRESSIONS),
            motions=self._tag_names(table, "motions", ()),
            sampling=MappingProxyType(sampling),
            max_output_tokens=max_output_tokens,
            avatar=MappingProxyType(self._avatar(self._table(table, "avatar"))),
        )

    def _error(self, key: str, problem: str) -> CharacterFileError:
        return CharacterFileError(self._file, problem, key=key)

    def _refuse_unknown(self, table: dict[str, Any], known: tuple[str, ...], prefix: str) -> None:
        for key in table:
            if key not in known:
                raise self._error(
                    f"{prefix}{key[:80]}", f"unknown key; there are {', '.join(known)}"
                )

    def _text(self, table: dict[str, Any], key: str) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self._error(key, f"is {shorten(value)}; it must be a string")
        return value

    def _table(self, table: dict[str, Any], key: str) -> dict[str, Any]:
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self._error(key, f"is {shorten(value)}; it must be a table [{key}]")
        return value

    def _tag_names(
        self, table: dict[str, Any], key: str, default: tuple[str, ...]
    ) -> tuple[str, ...]:
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

    def _sampling(self, table: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
        self._refuse_unknown(table, (*SAMPLING_TYPES, "max_output_tokens"), "sampling.")
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

    def _avatar(self, table: dict[str, Any]) -> dict[str, str]:
        self._refuse_unknown(table, _AVATAR_KEYS, "avatar.")
        for key, value in table.items():
            pattern, form = (
                (_COLOUR, "a colour such as '#3a4a6b'")
                if key in _COLOURS
                else (_STYLE, "a word in lower case")
            )
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise self._error(f"avatar.{key}", f"is {shorten(value)}; it must be {form}")
        return dict(table)


def _localized(texts: dict[str, str], key: str) -> LocalizedText:
    return LocalizedText(en=texts[key].strip(), ja=texts[f"{key}_ja"].strip() or None)
