"""What a TOML file may say beside name and prompt: greetings, last words, and lore."""

from __future__ import annotations

import pytest

from server.characters.character import Character
from server.characters.persona import read_persona
from server.characters.toml_file import parse_character
from server.errors import CharacterFileError

BASE = 'name = "Aoi"\nprompt = "You are Aoi."\n'


def parse(text: str) -> Character:
    """Parse a file's text."""
    return parse_character("aoi", (BASE + text).encode(), file="aoi.toml")


def test_further_greetings_are_read() -> None:
    """Behind the usual one."""
    aoi = parse('greeting = "Hi."\ngreetings = ["Again?", "You!"]')
    assert [one.en for one in read_persona(aoi).greetings] == ["Hi.", "Again?", "You!"]


def test_last_words_are_read() -> None:
    """They stand behind the history, not in the head."""
    persona = read_persona(parse('post_history = "Be brief."'))
    assert (persona.head, persona.post_history) == ("You are Aoi.", "Be brief.")


def test_lore_is_read() -> None:
    """As in a card's book: what always holds stands in the head."""
    aoi = parse(
        '[[lore]]\nkeys = ["Mugi"]\ncontent = "A cat."\n'
        '[[lore]]\ncontent = "It is summer."\nconstant = true\nposition = "after_char"\n'
    )
    persona = read_persona(aoi)
    assert persona.head == "You are Aoi.\n\nIt is summer."
    assert [one.content for one in persona.books[0].entries] == ["A cat."]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('greetings = "Hi"', "greetings"),
        ("greetings = [1]", "greetings"),
        ("post_history = 1", "post_history"),
        ("lore = 3", "lore"),
        ("lore = [3]", "lore[0]"),
        ('[[lore]]\nkeys = ["x"]', "lore[0].content"),
        ('[[lore]]\ncontent = "x"\nkey = ["x"]', "lore[0].key"),
        ('[[lore]]\ncontent = "x"\n[[lore]]\ncontent = ["x"]', "lore[1].content"),
    ],
)
def test_bad_lore_is_refused_by_its_path(text: str, key: str) -> None:
    """In the file's own words."""
    with pytest.raises(CharacterFileError) as caught:
        parse(text)
    assert caught.value.key == key
    assert str(caught.value).startswith(f"aoi.toml: {key}: ")
