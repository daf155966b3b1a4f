"""Reads whatever file an operator names as a character: TOML, or a card in any format."""

from __future__ import annotations

from pathlib import Path

from server.cards.lorebook import Lorebook
from server.cards.read import MAX_FILE_BYTES, read_lorebook
from server.characters.card_file import load_card
from server.characters.character import Character
from server.characters.file_bytes import read_file
from server.characters.toml_file import load_character
from server.errors import CardError, CharacterFileError


def load_character_file(path: Path) -> Character:
    """Read one file; its name without the suffix is the character's id.

    Raises:
        CharacterFileError: It cannot be read or used; says file, key and what would do.
    """
    return load_character(path) if path.suffix.lower() == ".toml" else load_card(path)


def load_lorebook_file(path: Path) -> Lorebook:
    """Read a lorebook that is a file of its own: ``lorebook_v3``, or SillyTavern's world info.

    Raises:
        CharacterFileError: It cannot be read, is no lorebook, or holds what is not taken.
    """
    data = read_file(path, MAX_FILE_BYTES)
    try:
        return read_lorebook(data, file=path.name)
    except CardError as error:
        raise CharacterFileError(path.name, error.message, key=error.key) from None
