"""Uploaded cards as files, whole or not there."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from server.cards.read import read_card
from server.cards.write import Format, write_card
from server.characters.card_file import character_from_card
from server.characters.card_folder import CardFolder, folder_name
from server.characters.character import Character
from tests.support.cards import card_json, card_png, make_card


def made(id: str, data: bytes) -> Character:
    """A character of a file."""
    return character_from_card(read_card(data, file=id), id=id)


def files(root: Path) -> list[str]:
    """All there is, by name."""
    return sorted(path.name for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("format", ["json", "png", "charx"])
def test_a_card_is_kept_as_it_came(tmp_path: Path, format: Format) -> None:
    """In its own format, under its id, in a folder that is made for it; nothing is lost."""
    folder = CardFolder(tmp_path / "a" / "b")
    mika = made("mika", write_card(make_card(unknown=[1]), format))
    folder.write(mika, "alice")
    assert files(tmp_path) == [f"mika.{format}"]
    (back,) = folder.read("alice")
    assert back == mika


def test_owners_do_not_see_each_others(tmp_path: Path) -> None:
    """Whatever they are called; names are no paths."""
    folder = CardFolder(tmp_path)
    owners = ["alice", "Alice", "../alice", "a/b", "", ".", "葵", "x" * 500, "a\0b"]
    for index, owner in enumerate(owners):
        folder.write(made(f"m{index}", card_json()), owner)
    for index, owner in enumerate(owners):
        assert [one.id for one in folder.read(owner)] == [f"m{index}"]
    assert {path.parent.parent for path in tmp_path.rglob("*.json")} == {tmp_path}
    assert len({folder_name(owner) for owner in owners}) == len(owners)


def test_one_of_the_same_id_is_replaced(tmp_path: Path) -> None:
    """Also where it came in another format; nothing is left over."""
    folder = CardFolder(tmp_path)
    folder.write(made("mika", card_png()), "alice")
    folder.write(made("mika", card_json("Mika II")), "alice")
    assert files(tmp_path) == ["mika.json"]
    (back,) = folder.read("alice")
    assert back.name.en == "Mika II"


def test_a_card_is_removed(tmp_path: Path) -> None:
    """Twice does not matter, and neither does an owner who has none."""
    folder = CardFolder(tmp_path)
    folder.write(made("mika", card_png()), "alice")
    folder.remove("mika", "bob")
    assert files(tmp_path) == ["mika.png"]
    folder.remove("mika", "alice")
    folder.remove("mika", "alice")
    assert files(tmp_path) == []


def test_what_cannot_be_read_is_left_out_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken card does not keep a server from starting; other files are not looked at."""
    folder = CardFolder(tmp_path)
    folder.write(made("good", card_json()), "alice")
    (owner,) = tmp_path.iterdir()
    (owner / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    (owner / ".new-abc").write_bytes(b"half")
    (owner / "notes.txt").write_text("mine")
    (owner / "Bad Name.json").write_bytes(card_json())
    with caplog.at_level(logging.WARNING):
        assert [one.id for one in folder.read("alice")] == ["good"]
    (record,) = caplog.records
    assert record.getMessage().startswith("an uploaded card is left out: bad.png: ")


def test_a_disk_that_refuses_leaves_what_was_there(tmp_path: Path) -> None:
    """A folder that is in the way of a file."""
    (tmp_path / folder_name("alice")).write_text("in the way")
    with pytest.raises(OSError, match="exists"):
        CardFolder(tmp_path).write(made("mika", card_png()), "alice")
    blocked = CardFolder(tmp_path)
    blocked.write(made("mika", card_png()), "bob")
    place = tmp_path / folder_name("bob") / "nao.png"
    place.mkdir()
    with pytest.raises(OSError, match="directory"):
        blocked.write(made("nao", card_png()), "bob")
    assert files(tmp_path) == [folder_name("alice"), "mika.png"]


def test_nothing_is_read_where_there_is_no_folder(tmp_path: Path) -> None:
    """It is made when it is first needed."""
    assert list(CardFolder(tmp_path / "none").read("alice")) == []
    assert not (tmp_path / "none").exists()
