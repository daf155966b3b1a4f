"""Makes a character of a card: what the card says, and what this server's own extension adds.

``extensions.kaiwa`` holds what cards have no field for. All of it is optional, and held to the same
checks as a character's TOML file; keys that are not known are passed over and kept::

    {"name_ja": "葵", "description": "A student.", "description_ja": "学生。",
     "greetings_ja": ["[happy] こんにちは！"],       in the order of the card's greetings
     "main_prompt": "",                               before the description where system_prompt
     "model": "kaiwa-demo",                           is empty; left out for a usual sentence
     "expressions": ["happy", "sad"],
     "sampling": {"temperature": 0.8, "max_output_tokens": 300},
     "avatar": {"hair": "#3a4a6b"}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from server.cards.card import PROMPT_TEXTS, Card
from server.cards.read import MAX_FILE_BYTES, read_card
from server.characters.character import VRM_EXPRESSIONS, Character
from server.characters.field_reader import FieldReader
from server.characters.file_bytes import read_file
from server.characters.ids import is_id, make_id
from server.characters.picture import picture_of
from server.errors import CardError, CardErrorCode, CharacterFileError, ServerError, shorten
from server.protocol.character_objects import LocalizedText

EXTENSION = "kaiwa"
MAX_DESCRIPTION = 300
"""Characters of the creator's notes that are shown to people."""
MAX_NAME = 256
"""Characters; a name may come thousands of times where macros stand for it."""
MAX_READ = 4_000_000
"""Characters that a model may read of a card, with values for its macros, about."""
MAX_MACROS = 2_000
"""In what a model may read of a card: each is filled in whenever a session begins."""
MAX_SHOWN = 2_000
"""Characters of a text of ours that is shown to people."""
MAX_TAGS = 32
MAX_TAG = 64

_MACRO = re.compile(r"\{\{|<(?:user|char|bot|start)>", re.IGNORECASE)
_PATH = f"data.extensions.{EXTENSION}"


def load_card(path: Path) -> Character:
    """Read one file; the character's id is the file's name as far as that can be one.

    Raises:
        CharacterFileError: It cannot be read or used; says file, key and what would do.
    """
    data = read_file(path, MAX_FILE_BYTES)
    id = path.stem if is_id(path.stem) else make_id(path.stem)
    try:
        return character_from_card(read_card(data, file=path.name), id=id)
    except CardError as error:
        raise CharacterFileError(path.name, error.message, key=error.key) from None


def character_from_card(card: Card, *, id: str = "") -> Character:
    """Make a character.

    Args:
        card: Not changed, and kept whole.
        id: What it is called in ``model``; made of its name where it is empty.

    Raises:
        CardError: A name or all texts together are too long or hold too many macros, or
            ``extensions.kaiwa`` holds a value that cannot be used.
    """
    _check_size(card)
    own = _own(card)
    fields = FieldReader(_error)
    sampling, max_output_tokens = fields.sampling(fields.table(own, "sampling"))
    texts = {
        key: fields.text(own, key).strip()
        for key in ("name_ja", "description", "description_ja", "model")
    }
    for key, text in texts.items():
        if len(text) > MAX_SHOWN:
            raise _error(key, f"has {len(text)} characters, and the limit is {MAX_SHOWN}")
    japanese = fields.texts(own, "greetings_ja")
    greetings = [
        LocalizedText(
            en=text, ja=japanese[index].strip() or None if index < len(japanese) else None
        )
        for index, text in enumerate(card.greetings)
    ]
    return Character(
        id=id or make_id(card.name),
        name=LocalizedText(en=card.name, ja=texts["name_ja"] or None),
        description=LocalizedText(
            en=texts["description"] or _first_paragraph(card.creator_notes),
            ja=texts["description_ja"] or _first_paragraph(_notes_in(card, "ja")) or None,
        ),
        greeting=greetings[0] if greetings else LocalizedText(en=""),
        greetings=tuple(greetings[1:]),
        group_greetings=tuple(LocalizedText(en=text) for text in card.group_greetings),
        main_prompt=fields.text(own, "main_prompt") if "main_prompt" in own else None,
        post_history=card.post_history_instructions.strip(),
        books=(card.book,) if card.book is not None else (),
        card=card,
        picture=picture_of(card),
        tags=tuple(tag[:MAX_TAG] for tag in card.tags[:MAX_TAGS]),
        model=texts["model"] or None,
        expressions=fields.tag_names(own, "expressions", VRM_EXPRESSIONS),
        motions=fields.tag_names(own, "motions", ()),
        sampling=MappingProxyType(sampling),
        max_output_tokens=max_output_tokens,
        avatar=MappingProxyType(fields.avatar(fields.table(own, "avatar"))),
    )


def find_warnings(character: Character) -> list[str]:
    """Say what of a card is kept but does nothing here."""
    card = character.card
    if card is None:
        return []
    warnings = []
    if card.is_newer:
        version = shorten(card.spec_version)
        warnings.append(f"it says version {version}, and this server knows them up to 3.0")
    if not card.greetings:
        warnings.append("it has no first message, so it waits for the user to speak")
    if character.picture is None and (card.picture is not None or card.files):
        warnings.append(
            "its picture is not shown: it must be PNG, JPEG or WebP of up to 4096 by 4096 pixels "
            "and 8 MiB"
        )
    if not any(
        card.text(name).strip()
        for name in ("system_prompt", "description", "personality", "scenario", "mes_example")
    ):
        warnings.append("it does not describe anybody; the model knows the name alone")
    return warnings


def _check_size(card: Card) -> None:
    for key, name in (("name", card.name), ("nickname", card.nickname)):
        if len(name) > MAX_NAME:
            raise CardError(
                CardErrorCode.TOO_LARGE,
                f"has {len(name)} characters, and the limit is {MAX_NAME}; take a shorter one",
                key=key,
            )
    texts = [*(card.text(name) for name in PROMPT_TEXTS), *card.greetings, *card.group_greetings]
    if card.book is not None:
        texts += [entry.content for entry in card.book.entries if entry.constant]
    macros = sum(len(_MACRO.findall(text)) for text in texts)
    if macros > MAX_MACROS:
        raise CardError(
            CardErrorCode.TOO_MANY_ENTRIES,
            f"what a model reads of it holds {macros} macros, and the limit is {MAX_MACROS}; "
            "write names out, or put less into it",
        )
    length = sum(map(len, texts)) + macros * len(card.char_name)
    if length > MAX_READ:
        raise CardError(
            CardErrorCode.TOO_LARGE,
            f"what a model reads of it comes to {length} characters, and the limit is {MAX_READ}; "
            "put less into it, or into lore that is called by keys",
        )


def _own(card: Card) -> Mapping[str, Any]:
    own = card.extensions.get(EXTENSION, {})
    if not isinstance(own, Mapping):
        raise CardError(CardErrorCode.BAD_FIELD, "must be an object", key=_PATH)
    return own


def _error(key: str, problem: str) -> ServerError:
    return CardError(CardErrorCode.BAD_FIELD, problem, key=f"{_PATH}.{key}")


def _notes_in(card: Card, language: str) -> str:
    """The creator's notes in another language (V3), which are for people too."""
    data = card.raw.get("data")
    told = data.get("creator_notes_multilingual") if isinstance(data, Mapping) else None
    notes = told.get(language) if isinstance(told, Mapping) else None
    return notes if isinstance(notes, str) else ""


def _first_paragraph(notes: str) -> str:
    first = " ".join(notes.strip().partition("\n\n")[0].split())
    return first if len(first) <= MAX_DESCRIPTION else first[: MAX_DESCRIPTION - 1] + "…"
