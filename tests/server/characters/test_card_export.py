"""Characters out as cards, and back in."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from server.cards.read import read_card
from server.cards.write import write_card
from server.characters.card_export import card_of
from server.characters.card_file import character_from_card
from server.characters.character import Character
from server.characters.persona import read_group, read_persona
from server.characters.toml_file import load_character, parse_character
from server.config.shipped import DEMO_CHARACTERS
from tests.support.cards import make_card

FULL = """
name = "Aoi"
name_ja = "葵"
description = "A student."
description_ja = "学生。"
greeting = "[happy] Hi, {{user}}!"
greeting_ja = "[happy] こんにちは！"
greetings = ["Again?", "You!"]
post_history = "Be brief."
prompt = "You are Aoi.  <3 {{user}}"
model = "kaiwa-demo"
expressions = []

[sampling]
temperature = 0.4
stop = ["END"]
max_output_tokens = 50

[avatar]
hair = "#2B3a67"

[[lore]]
keys = ["Mugi"]
content = "@@depth 4\\n@@@scan_depth 2\\nMugi is a cat."
secondary_keys = ["cat"]
selective = true

[[lore]]
keys = []
content = "It is summer."
constant = true
position = "after_char"
"""

Format = Literal["json", "png", "charx"]


def again(character: Character, format: Format = "json") -> Character:
    """Export and import."""
    data = write_card(card_of(character), format)
    return character_from_card(read_card(data, file="x"), id=character.id)


def bare(character: Character) -> Character:
    """All of it but where it came from."""
    return replace(character, card=None, picture=None, main_prompt=None, prompt="")


@pytest.mark.parametrize("format", ["json", "png", "charx"])
def test_a_character_of_our_own_comes_back_the_same(format: Format) -> None:
    """Every field, and every word that the model reads, alone and in a room."""
    aoi = parse_character("aoi", FULL.encode(), file="aoi.toml")
    back = again(aoi, format)
    assert bare(back) == bare(aoi)
    for one, other in (
        (read_persona(back), read_persona(aoi)),
        (read_group([back, back]), read_group([aoi, aoi])),
    ):
        assert (one.head, one.post_history) == (other.head, other.post_history)
        assert (one.greetings, one.books) == (other.greetings, other.books)


@pytest.mark.parametrize("name", [path.stem for path in sorted(DEMO_CHARACTERS.glob("*.toml"))])
def test_the_delivered_characters_come_back_the_same(name: str) -> None:
    """As PNG, for other programs."""
    character = load_character(DEMO_CHARACTERS / f"{name}.toml")
    back = again(character, "png")
    assert bare(back) == bare(character)
    assert read_persona(back).head == read_persona(character).head


def test_the_prompt_is_where_other_programs_look_for_it() -> None:
    """In the description; notes are for people."""
    aoi = parse_character("aoi", FULL.encode(), file="aoi.toml")
    card = card_of(aoi)
    assert card.text("description") == aoi.prompt
    assert card.creator_notes == "A student."


def test_a_card_is_exported_as_it_is() -> None:
    """Nothing is written anew."""
    card = make_card(unknown=[1, {"x": None}])
    assert card_of(character_from_card(card)) is card
