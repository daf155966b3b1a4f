"""Reads whatever file an operator names as a character: TOML, or a card in any format."""

from __future__ import annotations

from pathlib import Path

from server.cards.lorebook import Lorebook
from server.cards.read import MAX_FILE_BYTES, read_lorebook
from server.characters.card_file import load_card
from server.characters.character import Character
from server.characters.toml_file import load_character
from server.errors import CharacterFileError


def load_character_file(path: Path) -> Character:
    """Read one file; its name without the suffix is the character's id.

    Raises:
        CharacterFileError: It cannot be read or used; says file, key and what would do.
    """
    return load_character(path) if path.suffix.lower() == ".toml" else load_card(path)


def load_lorebook_file(path: Path) -> Lorebook:
    """Read a lorebook that is a file of its own: ``lorebook_v3``, or SillyTavern's world info.

    Raises:
        CharacterFileError: It cannot be opened.
        CardError: It is no lorebook, or holds what is not taken.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CharacterFileError(path.name, f"cannot be read: {error.strerror}") from None
    return read_lorebook(data, file=path.name)
