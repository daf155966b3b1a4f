"""Cards that were kept come back for those whose they are."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from server.cards.read import read_card
from server.characters.card_file import character_from_card
from server.characters.card_folder import CardFolder
from server.characters.catalog import Catalog
from server.characters.kept_cards import read_kept_cards, take_in
from server.characters.uploads import Uploads
from tests.support.cards import card_png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Keeps mika of alice's and haru of bob's."""
    for owner, name in (("alice", "mika"), ("bob", "haru")):
        card = read_card(card_png(), file=f"{name}.png")
        CardFolder(tmp_path).write(character_from_card(card, id=name), owner)
    return tmp_path


def test_each_finds_its_own(folder: Path) -> None:
    """Only of those who were asked for."""
    catalog = Catalog("tiny", [])
    kept = read_kept_cards(folder, ["alice", "nobody"])
    take_in(kept, catalog)
    assert [owner for owner, _ in kept] == ["alice"]
    assert catalog.find("mika", "alice") is not None
    assert catalog.find("mika", "bob") is catalog.find("haru", "bob") is None


def test_what_has_no_room_is_left_out_and_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others come in."""
    catalog = Catalog("tiny", [], uploads=Uploads(max_characters=0))
    with caplog.at_level(logging.WARNING):
        take_in(read_kept_cards(folder, ["alice", "bob"]), catalog)
    assert catalog.find("mika", "alice") is None
    assert caplog.text.count("an uploaded card is left out") == 2
