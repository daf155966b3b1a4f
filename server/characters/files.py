"""Reads whatever file an operator names as a character: TOML, or a card in any format."""

from __future__ import annotations

from pathlib import Path

from server.characters.card_file import load_card
from server.characters.character import Character
from server.characters.toml_file import load_character


def load_character_file(path: Path) -> Character:
    """Read one file; its name without the suffix is the character's id.

    Raises:
        CharacterFileError: It cannot be read or used; says file, key and what would do.
    """
    return load_character(path) if path.suffix.lower() == ".toml" else load_card(path)
