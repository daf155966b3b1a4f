"""Makes a card of a character: its own where it came as one, else a V3 card with all it has."""

from __future__ import annotations

from typing import Any

from server.cards.card import Card, make_card
from server.cards.lorebook import Decorator, Lorebook, LoreEntry
from server.characters.card_file import EXTENSION
from server.characters.character import Character


def card_of(character: Character) -> Card:
    """Give a card from which ``character_from_card`` makes the same character.

    A prompt becomes the description, as other programs read that; ``extensions.kaiwa.main_prompt``
    says that nothing is to stand before it.
    """
    if character.card is not None:
        return character.card
    greetings = (character.greeting, *character.greetings)
    own: dict[str, Any] = {
        "main_prompt": "",
        "expressions": list(character.expressions),
        "motions": list(character.motions),
        "sampling": dict(character.sampling),
        "avatar": dict(character.avatar),
    }
    if character.max_output_tokens is not None:
        own["sampling"]["max_output_tokens"] = character.max_output_tokens
    for key, value in (
        ("name_ja", character.name.ja),
        ("description", character.description.en),
        ("description_ja", character.description.ja),
        ("model", character.model),
    ):
        if value:
            own[key] = value
    if any(greeting.ja for greeting in greetings):
        own["greetings_ja"] = [greeting.ja or "" for greeting in greetings]
    data: dict[str, Any] = {
        "name": character.name.en,
        "description": character.prompt,
        "personality": "",
        "scenario": "",
        "first_mes": character.greeting.en,
        "mes_example": "",
        "creator_notes": character.description.en,
        "system_prompt": "",
        "post_history_instructions": character.post_history,
        "alternate_greetings": [greeting.en for greeting in character.greetings],
        "group_only_greetings": [],
        "tags": [],
        "creator": "",
        "character_version": "",
        "extensions": {EXTENSION: own},
    }
    if character.books:
        data["character_book"] = _write_book(character.books[0])
    raw = {"spec": "chara_card_v3", "spec_version": "3.0", "data": data}
    return make_card(raw, container="json")


def _write_book(book: Lorebook) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "name": book.name,
        "description": book.description,
        "recursive_scanning": book.recursive_scanning,
        "extensions": dict(book.extensions),
        "entries": [_write_entry(entry) for entry in book.entries],
    }
    for key, value in (("scan_depth", book.scan_depth), ("token_budget", book.token_budget)):
        if value is not None:
            raw[key] = value
    return raw


def _write_entry(entry: LoreEntry) -> dict[str, Any]:
    lines = [line for one in entry.decorators for line in _write_decorator(one)]
    return {
        "id": entry.id,
        "name": entry.name,
        "keys": list(entry.keys),
        "secondary_keys": list(entry.secondary_keys),
        "selective": entry.selective,
        "content": "\n".join([*lines, entry.content]),
        "enabled": entry.enabled,
        "insertion_order": entry.insertion_order,
        "case_sensitive": entry.case_sensitive,
        "use_regex": entry.use_regex,
        "constant": entry.constant,
        "priority": entry.priority,
        "position": entry.position,
        "extensions": dict(entry.extensions),
    }


def _write_decorator(decorator: Decorator, marks: str = "@@") -> list[str]:
    first = f"{marks}{decorator.name} {decorator.value}".rstrip()
    return [first, *(line for one in decorator.fallbacks for line in _write_decorator(one, "@@@"))]
