"""Reads a character's TOML file; what cannot be used is refused by its dotted path.

::

    name = "Aoi"                       sampling and avatar are optional, and so is every key
    name_ja = "葵"                     but name and prompt
    prompt = \"\"\"You are Aoi …\"\"\"
    expressions = ["happy", "sad"]     VRM's six when left out; [] switches them off
    motions = ["wave", "nod"]          none when left out
    model = "kaiwa-demo"               the engine it was made for; told once when another serves
    greetings = ["Oh, you again!"]     others that may be said in the greeting's place
    post_history = "Answer briefly."   read behind what was said

    [sampling]
    temperature = 0.8
    max_output_tokens = 300

    [avatar]
    hair = "#3a4a6b"

    [[lore]]                           what comes up when one of its keys is said; more of them
    keys = ["Mugi", "ムギ"]            with constant = true it belongs to the prompt for good
    content = "Mugi is Aoi's cat."     also secondary_keys, name, insertion_order, position
                                       ("before_char", "after_char"), case_sensitive, use_regex,
                                       priority, enabled: as in a card's lorebook
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import Any

from server.cards.lorebook import Lorebook, read_book
from server.characters.character import VRM_EXPRESSIONS, Character
from server.characters.field_reader import FieldReader
from server.characters.file_bytes import read_file
from server.characters.ids import ID_FORM, is_id
from server.errors import CardError, CharacterFileError, shorten
from server.protocol.character_objects import LocalizedText

MAX_FILE_BYTES = 256 * 1024

_TEXTS = (
    *("name", "name_ja", "description", "description_ja", "greeting", "greeting_ja", "prompt"),
    "post_history",
)
_KEYS = (*_TEXTS, "model", "greetings", "expressions", "motions", "sampling", "avatar", "lore")
_LORE_KEYS = (
    *("keys", "content", "constant", "secondary_keys", "selective", "name", "insertion_order"),
    *("position", "case_sensitive", "use_regex", "priority", "enabled"),
)


def load_character(path: Path) -> Character:
    """Read one file; the character's id is the file's name without ``.toml``.

    Raises:
        CharacterFileError: It cannot be read or used; says file, key and what would do.
    """
    data = read_file(path, MAX_FILE_BYTES)
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
    if not is_id(id):
        raise CharacterFileError(
            file, f"{shorten(id)} cannot be a character's id; name the file with {ID_FORM}"
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
        self._fields = FieldReader(self._error)

    def read(self, id: str, table: dict[str, Any]) -> Character:
        fields = self._fields
        fields.refuse_unknown(table, _KEYS, "")
        texts = {key: fields.text(table, key) for key in _TEXTS}
        for key in ("name", "prompt"):
            if not texts[key].strip():
                raise self._error(key, "must be there and not be empty")
        sampling, max_output_tokens = fields.sampling(fields.table(table, "sampling"))
        return Character(
            id=id,
            name=_localized(texts, "name"),
            description=_localized(texts, "description"),
            greeting=_localized(texts, "greeting"),
            greetings=tuple(
                LocalizedText(en=text.strip()) for text in fields.texts(table, "greetings")
            ),
            prompt=texts["prompt"].strip(),
            post_history=texts["post_history"].strip(),
            books=self._books(table.get("lore", [])),
            model=fields.text(table, "model") or None,
            expressions=fields.tag_names(table, "expressions", VRM_EXPRESSIONS),
            motions=fields.tag_names(table, "motions", ()),
            sampling=MappingProxyType(sampling),
            max_output_tokens=max_output_tokens,
            avatar=MappingProxyType(fields.avatar(fields.table(table, "avatar"))),
        )

    def _error(self, key: str, problem: str) -> CharacterFileError:
        return CharacterFileError(self._file, problem, key=key)

    def _books(self, entries: object) -> tuple[Lorebook, ...]:
        if not isinstance(entries, list):
            raise self._error("lore", f"is {shorten(entries)}; it must be tables [[lore]]")
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise self._error(f"lore[{index}]", f"is {shorten(entry)}; it must be a table")
            self._fields.refuse_unknown(entry, _LORE_KEYS, f"lore[{index}].")
            if not entry.get("content"):
                raise self._error(f"lore[{index}].content", "must be there and not be empty")
        if not entries:
            return ()
        try:
            return (read_book({"entries": entries}, path="lore"),)
        except CardError as error:
            key = (error.key or "lore").replace("lore.entries", "lore", 1)
            raise self._error(key, error.message) from None


def _localized(texts: dict[str, str], key: str) -> LocalizedText:
    return LocalizedText(en=texts[key].strip(), ja=texts[f"{key}_ja"].strip() or None)
