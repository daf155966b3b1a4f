"""Who has sent which characters, and when there are too many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.cards.read import read_card
from server.characters.card_file import character_from_card
from server.characters.character import Character
from server.characters.uploads import Uploads, footprint
from server.errors import LimitExceeded
from tests.support.cards import card_png, make_card


def made(id: str, **data: str) -> Character:
    """A character of a card."""
    return character_from_card(make_card(id, **data), id=id)


def test_characters_belong_to_whoever_sent_them() -> None:
    """Nobody else finds them, and two may have one id."""
    uploads, mine, yours = Uploads(), made("mika"), made("mika")
    uploads.put(mine, "alice")
    uploads.put(yours, "bob")
    assert uploads.find("mika", "alice") is mine
    assert uploads.find("mika", "bob") is yours
    assert uploads.find("mika", "eve") is None
    assert uploads.of("alice") == [mine]
    assert uploads.of("eve") == []


def test_one_of_the_same_id_is_replaced() -> None:
    """And told of; its place in the order stays."""
    uploads, new = Uploads(), made("mika")
    assert not uploads.put(made("mika"), "a")
    uploads.put(made("nao"), "a")
    assert uploads.put(new, "a")
    assert [one.id for one in uploads.of("a")] == ["mika", "nao"]
    assert uploads.find("mika", "a") is new


def test_one_is_removed_by_its_owner_alone() -> None:
    """For anybody else there is nothing."""
    uploads = Uploads()
    uploads.put(made("mika"), "alice")
    assert not uploads.remove("mika", "bob")
    assert uploads.remove("mika", "alice")
    assert not uploads.remove("mika", "alice")
    assert len(uploads) == uploads.num_bytes == 0


def test_each_owner_has_so_many() -> None:
    """One that is replaced counts once; what is refused changes nothing."""
    uploads = Uploads(max_characters=2)
    uploads.put(made("a"), "alice")
    uploads.put(made("b"), "alice")
    uploads.put(made("a"), "bob")
    uploads.put(made("b"), "alice")
    with pytest.raises(LimitExceeded) as caught:
        uploads.put(made("c"), "alice")
    assert (caught.value.value, caught.value.limit) == (3, 2)
    assert "DELETE /v1/characters/" in caught.value.message
    assert len(uploads.of("alice")) == 2


def test_all_together_take_so_much() -> None:
    """A smaller one in the place of a larger one makes room."""
    large, small = made("a", description="x" * 50_000), made("a")
    uploads = Uploads(max_bytes=footprint(large) + footprint(small) - 1)
    uploads.put(large, "alice")
    with pytest.raises(LimitExceeded, match="memory"):
        uploads.put(made("b"), "bob")
    uploads.put(small, "alice")
    uploads.put(made("b"), "bob")
    assert uploads.num_bytes == 2 * footprint(small)


def test_what_a_character_takes_grows_with_all_that_is_kept() -> None:
    """Text, picture and files."""
    plain = footprint(made("a"))
    assert footprint(made("a", description="x" * 1000)) >= plain + 2000
    pictured = character_from_card(read_card(card_png(), file="x"))
    assert pictured.picture is not None
    assert footprint(pictured) >= plain + 2 * len(pictured.picture.content) - 100
    card = replace(make_card(), files={"x": b"x" * 5000})
    assert footprint(character_from_card(card)) >= plain + 5000
    assert footprint(Character.from_prompt("x", "1234")) == 4
