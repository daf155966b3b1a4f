"""Character files in, characters or clear refusals out; names in, choices out."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.characters.catalog import Catalog, ResolvedModel
from server.characters.character import VRM_EXPRESSIONS, Character
from server.characters.toml_file import MAX_FILE_BYTES, load_character, parse_character
from server.errors import CharacterFileError, ModelNotFound

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
    assert (character.expressions, character.motions) == (VRM_EXPRESSIONS, ())
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


AOI, MIA = Character.from_prompt("aoi", "You are Aoi."), Character.from_prompt("mia", "")
CATALOG = Catalog("org/demo@v1", [AOI, MIA])


@pytest.mark.parametrize(
    ("model", "character"),
    [
        ("aoi", AOI),
        ("mia", MIA),
        ("org/demo@v1", None),
        ("org/demo@v1@mia", MIA),
        ("", AOI),
        (None, AOI),
    ],
)
def test_a_model_is_a_character_an_engine_or_both(
    model: str | None, character: Character | None
) -> None:
    """R9, and the first character for a client that names nothing."""
    assert CATALOG.resolve(model) == ResolvedModel(model or "aoi", "org/demo@v1", character)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "AOI", "org/demo@v1@", "other@aoi", "aoi ", "x" * 9999]
)
def test_an_unknown_model_is_refused_with_what_there_is(model: str) -> None:
    """The message lists the models, and does not repeat a huge name."""
    with pytest.raises(ModelNotFound) as caught:
        CATALOG.resolve(model)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "aoi, mia, org/demo@v1" in caught.value.message
    assert len(caught.value.message) < 300


def test_a_catalog_may_have_no_characters() -> None:
    """A bare engine answers for itself."""
    bare = Catalog("demo", [])
    assert bare.resolve(None) == ResolvedModel("demo", "demo")
    assert bare.model_names == ["demo"]
    assert bare.default_character is None


def test_two_characters_of_one_id_are_refused() -> None:
    """Silently answering with one of them would be worse."""
    with pytest.raises(ValueError, match="aoi"):
        Catalog("demo", [AOI, AOI])
