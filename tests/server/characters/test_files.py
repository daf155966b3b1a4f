"""Any file that an operator may name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.cards.write import Format, write_card
from server.characters.files import load_character_file, load_lorebook_file
from server.errors import CharacterFileError
from tests.support.cards import book, entry, make_card


@pytest.mark.parametrize("format", ["json", "png", "charx"])
def test_cards_are_read_in_every_format(tmp_path: Path, format: Format) -> None:
    """Their content tells what they are."""
    for suffix in (format, "card"):
        path = tmp_path / f"keeper.{suffix}"
        path.write_bytes(write_card(make_card("Mika"), format))
        assert (load_character_file(path).id, load_character_file(path).name.en) == (
            "keeper",
            "Mika",
        )


def test_toml_is_read_by_its_name(tmp_path: Path) -> None:
    """In either case."""
    path = tmp_path / "mia.TOML"
    path.write_text('name = "Mia"\nprompt = "You are Mia."')
    assert load_character_file(path).prompt == "You are Mia."


@pytest.mark.parametrize("name", ["x.toml", "x.png", "x.json", "x.charx", "x"])
def test_a_file_that_is_neither_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    """And so is a folder, or none."""
    (tmp_path / name).write_bytes(b"\0\1\2 nothing")
    with pytest.raises(CharacterFileError, match=f"^{name}: "):
        load_character_file(tmp_path / name)
    with pytest.raises(CharacterFileError):
        load_character_file(tmp_path)


def test_a_lorebook_may_be_a_file_of_its_own(tmp_path: Path) -> None:
    """Of V3's kind; a card is none, and neither is a file that is not there."""
    path = tmp_path / "world.json"
    path.write_text(json.dumps({"spec": "lorebook_v3", "data": book(entry("Sea.", "sea"))}))
    [found] = load_lorebook_file(path).entries
    assert (found.content, found.keys) == ("Sea.", ("sea",))
    path.write_bytes(write_card(make_card("Mika"), "json"))
    with pytest.raises(CharacterFileError, match="^world.json: .*no lorebook"):
        load_lorebook_file(path)
    with pytest.raises(CharacterFileError, match="cannot be read"):
        load_lorebook_file(tmp_path / "none.json")
