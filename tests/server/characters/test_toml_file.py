"""Character files in, characters or clear refusals out."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.characters.character import VRM_EXPRESSIONS, Character
from server.characters.persona import read_persona
from server.characters.toml_file import MAX_FILE_BYTES, load_character, parse_character
from server.errors import CharacterFileError

GOOD = """
name = "Aoi"
name_ja = "葵"
description = "A student."
greeting = "[happy] Hi!"
prompt = \"\"\"
You are Aoi.
\"\"\"
model = "kaiwa-demo"
expressions = ["happy", "sad"]
motions = ["wave"]

[sampling]
temperature = 1
stop = "END"
max_output_tokens = 300

[avatar]
hair = "#2B3a67"
style = "bob"
"""


def parse(text: str, id: str = "aoi") -> Character:
    """Parse a file's text."""
    return parse_character(id, text.encode(), file=f"{id}.toml")


def test_a_full_file_is_read() -> None:
    """Every key lands where it belongs."""
    aoi = parse(GOOD)
    assert (aoi.id, aoi.name.en, aoi.name.ja) == ("aoi", "Aoi", "葵")
    assert (aoi.greeting.en, aoi.greeting.ja) == ("[happy] Hi!", None)
    assert (aoi.prompt, aoi.model) == ("You are Aoi.", "kaiwa-demo")
    assert (aoi.expressions, aoi.motions) == (("happy", "sad"), ("wave",))
    assert dict(aoi.sampling) == {"temperature": 1, "stop": "END"}
    assert aoi.max_output_tokens == 300
    assert dict(aoi.avatar) == {"hair": "#2B3a67", "style": "bob"}


def test_name_and_prompt_are_enough() -> None:
    """Everything else has a default."""
    character = parse('name = "X"\nprompt = "You are X."')
    assert character.expressions == VRM_EXPRESSIONS
    assert character.max_output_tokens is None


def test_tags_are_on_unless_they_are_switched_off() -> None:
    """A character of a prompt alone has VRM's faces; an empty list leaves none."""
    assert Character.from_prompt("x", "You are X.").expressions == VRM_EXPRESSIONS
    assert parse('name = "X"\nprompt = "You are X."\nexpressions = []').expressions == ()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('prompt = "x"', "name"),
        ('name = "x"', "prompt"),
        ('name = "x"\nprompt = "  "', "prompt"),
        (GOOD.replace("name_ja", "nom"), "nom"),
        (GOOD.replace("temperature", "temprature"), "sampling.temprature"),
        (GOOD.replace("temperature = 1", "temperature = -1"), "sampling.temperature"),
        (GOOD.replace("temperature = 1", 'temperature = "hot"'), "sampling.temperature"),
        (GOOD.replace("temperature = 1", "temperature = true"), "sampling.temperature"),
        (GOOD.replace("temperature = 1", "temperature = nan"), "sampling.temperature"),
        (GOOD.replace("temperature = 1", "top_k = 1.5"), "sampling.top_k"),
        (GOOD.replace("= 300", "= 0"), "sampling.max_output_tokens"),
        (GOOD.replace("= 300", '= "inf"'), "sampling.max_output_tokens"),
        (GOOD.replace("[sampling]", "[[sampling]]"), "sampling"),
        (GOOD.replace('"happy", "sad"', '"happy", "HAPPY"'), "expressions[1]"),
        (GOOD.replace('"happy", "sad"', '"two words"'), "expressions[0]"),
        (GOOD.replace('["happy", "sad"]', '"happy"'), "expressions"),
        (GOOD.replace('["wave"]', '["wave:1"]'), "motions[0]"),
        (GOOD.replace("#2B3a67", "red; background: url(x)"), "avatar.hair"),
        (GOOD.replace("hair", "wings"), "avatar.wings"),
        (GOOD.replace('style = "bob"', 'style = "<b>"'), "avatar.style"),
        (GOOD.replace('"Aoi"', "3", 1), "name"),
    ],
)
def test_a_bad_key_is_refused_by_its_path(text: str, key: str) -> None:
    """The message begins with the file's name and the key's dotted path."""
    with pytest.raises(CharacterFileError) as caught:
        parse(text)
    assert caught.value.key == key
    assert str(caught.value).startswith(f"aoi.toml: {key}: ")


@pytest.mark.parametrize(
    "data",
    [b"name = ", b"\xff", b'name = "' + b"x" * MAX_FILE_BYTES, b"a = " + b"[" * 50_000],
)
def test_a_file_that_is_not_toml_is_refused(data: bytes) -> None:
    """Broken, not UTF-8, too large or too deep: one error with the file's name."""
    with pytest.raises(CharacterFileError, match=r"^aoi\.toml: "):
        parse_character("aoi", data, file="aoi.toml")


def test_the_id_is_the_files_name(tmp_path: Path) -> None:
    """A file's name is what clients write as ``model``."""
    (tmp_path / "mia.toml").write_text(GOOD, encoding="utf-8")
    assert load_character(tmp_path / "mia.toml").id == "mia"
    with pytest.raises(CharacterFileError, match="cannot be read"):
        load_character(tmp_path / "nobody.toml")
    with pytest.raises(CharacterFileError, match="character's id"):
        parse(GOOD, id="../x")


def test_the_delivered_characters_are_good() -> None:
    """Every file in ``configs/characters`` loads."""
    files = sorted((Path(__file__).parents[2] / "configs" / "characters").glob("*.toml"))
    assert [load_character(file).id for file in files] == [file.stem for file in files]


BASE = 'name = "Aoi"\nprompt = "You are Aoi."\n'


def beside(text: str) -> Character:
    """Parse what stands beside name and prompt."""
    return parse(BASE + text)


def test_further_greetings_are_read() -> None:
    """Behind the usual one."""
    aoi = beside('greeting = "Hi."\ngreetings = ["Again?", "You!"]')
    assert [one.en for one in read_persona(aoi).greetings] == ["Hi.", "Again?", "You!"]


def test_last_words_are_read() -> None:
    """They stand behind the history, not in the head."""
    persona = read_persona(beside('post_history = "Be brief."'))
    assert (persona.head, persona.post_history) == ("You are Aoi.", "Be brief.")


def test_lore_is_read() -> None:
    """As in a card's book: what always holds stands in the head."""
    aoi = beside(
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
        beside(text)
    assert caught.value.key == key
    assert str(caught.value).startswith(f"aoi.toml: {key}: ")
