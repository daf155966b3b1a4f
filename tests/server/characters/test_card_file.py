"""Cards in, characters or clear refusals out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.characters.card_file import (
    MAX_DESCRIPTION,
    MAX_MACROS,
    MAX_TAGS,
    character_from_card,
    find_warnings,
    load_card,
)
from server.characters.character import VRM_EXPRESSIONS
from server.errors import CardError, CharacterFileError
from tests.support.cards import book, card_json, card_png, entry, make_card

OWN = {
    "name_ja": "ミカ",
    "description": "A keeper.",
    "description_ja": "灯台守。",
    "greetings_ja": ["", "やあ。"],
    "main_prompt": "",
    "model": "kaiwa-demo",
    "expressions": ["happy", "grin"],
    "sampling": {"temperature": 0.8, "max_output_tokens": 99},
    "avatar": {"hair": "#3a4a6b", "style": "bob"},
    "later": {"unknown": 1},
}


def test_a_card_alone_is_enough() -> None:
    """All that it does not say has a default."""
    mika = character_from_card(make_card())
    assert (mika.id, mika.name.en, mika.prompt) == ("mika", "Mika", "")
    assert mika.expressions == VRM_EXPRESSIONS
    assert (mika.greeting.en, mika.greetings, mika.books, mika.picture) == ("", (), (), None)
    assert mika.main_prompt is None


def test_the_fields_of_a_card_are_taken() -> None:
    """Greetings of both kinds, instructions, lore and tags; the card itself stays whole."""
    card = make_card(
        first_mes="Hi.",
        alternate_greetings=["Yo.", "Oh."],
        group_only_greetings=["All!"],
        post_history_instructions=" Be brief. ",
        character_book=book(entry("x", "k")),
        tags=["calm"],
    )
    mika = character_from_card(card)
    assert [one.en for one in (mika.greeting, *mika.greetings)] == ["Hi.", "Yo.", "Oh."]
    assert [one.en for one in mika.group_greetings] == ["All!"]
    assert (mika.post_history, mika.tags) == ("Be brief.", ("calm",))
    assert mika.books == (card.book,)
    assert mika.card is card


def test_our_own_extension_is_taken() -> None:
    """With the same keys as a TOML file; what is not known is passed over."""
    card = make_card(first_mes="Hi.", alternate_greetings=["Yo.", "Oh."], extensions={"kaiwa": OWN})
    mika = character_from_card(card, id="mine")
    assert (mika.id, mika.name.ja, mika.model) == ("mine", "ミカ", "kaiwa-demo")
    assert (mika.description.en, mika.description.ja) == ("A keeper.", "灯台守。")
    assert [one.ja for one in (mika.greeting, *mika.greetings)] == [None, "やあ。", None]
    assert mika.expressions == ("happy", "grin")
    assert dict(mika.sampling) == {"temperature": 0.8}
    assert mika.max_output_tokens == 99
    assert dict(mika.avatar) == {"hair": "#3a4a6b", "style": "bob"}
    assert mika.main_prompt == ""


@pytest.mark.parametrize(
    ("own", "key"),
    [
        ([1], ""),
        ({"sampling": {"temperature": "hot"}}, ".sampling.temperature"),
        ({"sampling": {"temprature": 1}}, ".sampling.temprature"),
        ({"sampling": {"max_output_tokens": 0}}, ".sampling.max_output_tokens"),
        ({"sampling": 3}, ".sampling"),
        ({"avatar": {"hair": "red; background: url(x)"}}, ".avatar.hair"),
        ({"expressions": ["two words"]}, ".expressions[0]"),
        ({"name_ja": 3}, ".name_ja"),
        ({"description": "x" * 2001}, ".description"),
        ({"greetings_ja": "x"}, ".greetings_ja"),
        ({"main_prompt": 1}, ".main_prompt"),
    ],
)
def test_a_bad_value_of_ours_is_refused_by_its_path(own: Any, key: str) -> None:
    """As in a TOML file, with a code beside it."""
    with pytest.raises(CardError) as caught:
        character_from_card(make_card(extensions={"kaiwa": own}))
    assert caught.value.code == "card_bad_field"
    assert caught.value.key == f"data.extensions.kaiwa{key}"


@pytest.mark.parametrize("notes", [None, 3, "", ["x"], {"ja": 3}])
def test_notes_that_are_no_text_are_no_description(notes: object) -> None:
    """They are kept in the card."""
    card = make_card(creator_notes_multilingual=notes)
    assert character_from_card(card).description.en == ""


def test_the_creators_notes_are_shown_to_people() -> None:
    """Their first paragraph, in one line, and not all of a long one."""
    card = make_card(
        creator_notes="\nFor\n people.\n\nMore.", creator_notes_multilingual={"ja": "人へ"}
    )
    told = character_from_card(card).description
    assert (told.en, told.ja) == ("For people.", "人へ")
    long = character_from_card(make_card(creator_notes="x" * 10_000)).description.en
    assert len(long) == MAX_DESCRIPTION


@pytest.mark.parametrize("key", ["name", "nickname"])
def test_a_name_is_short(key: str) -> None:
    """It stands wherever a macro means it."""
    card = make_card(**{"name": "Mika", key: "x" * 257})
    with pytest.raises(CardError) as caught:
        character_from_card(card)
    assert (caught.value.code, caught.value.key) == ("card_too_large", key)


def test_what_is_read_is_bounded_with_its_macros() -> None:
    """A small card can come to much; lore that waits for its key does not count."""
    macros = "{{char}}" * 1_900
    long = "y" * 900_000
    fields = {"personality": long, "scenario": long, "mes_example": long, "system_prompt": long}
    character_from_card(make_card("x", description=macros, **fields))
    with pytest.raises(CardError, match="what a model reads") as caught:
        character_from_card(make_card("x" * 250, description=macros, **fields))
    assert caught.value.code == "card_too_large"


@pytest.mark.parametrize("macro", ["{{char}}", "{{random:a,b}}", "<USER>", "<START>", "{{"])
def test_macros_are_counted(macro: str) -> None:
    """Each costs time whenever a session begins; lore that waits for its key does not count."""
    macros = macro * (MAX_MACROS + 1)
    character_from_card(make_card(description=macro * MAX_MACROS))
    character_from_card(make_card(character_book=book(entry(macros, "k"))))
    for fields in (
        {"description": macros},
        {"alternate_greetings": [macros]},
        {"character_book": book(entry(macros, constant=True))},
    ):
        with pytest.raises(CardError, match=f"{MAX_MACROS + 1} macros") as caught:
            character_from_card(make_card(**fields))
        assert caught.value.code == "card_too_many_entries"


def test_tags_are_bounded() -> None:
    """They are for show."""
    mika = character_from_card(make_card(tags=["x" * 999] * 500))
    assert len(mika.tags) == MAX_TAGS
    assert max(map(len, mika.tags)) < 100


def test_a_file_gives_its_name(tmp_path: Path) -> None:
    """As a TOML file does; one that can be no id becomes one."""
    for name, id in (("keeper.png", "keeper"), ("My Mika.png", "my-mika")):
        (tmp_path / name).write_bytes(card_png())
        assert load_card(tmp_path / name).id == id
    (tmp_path / "葵.json").write_bytes(card_json())
    assert load_card(tmp_path / "葵.json").id.startswith("card-")


def test_a_file_that_cannot_be_read_is_told_of(tmp_path: Path) -> None:
    """By its name, whatever is wrong."""
    with pytest.raises(CharacterFileError, match=r"^nobody\.png: cannot be read"):
        load_card(tmp_path / "nobody.png")
    (tmp_path / "x.png").write_bytes(card_png()[:-30])
    with pytest.raises(CharacterFileError, match=r"^x\.png: "):
        load_card(tmp_path / "x.png")


def test_what_does_nothing_is_warned_of() -> None:
    """No greeting and no description; a full card has no warning."""
    assert len(find_warnings(character_from_card(make_card()))) == 2
    full = make_card(first_mes="Hi.", description="x")
    assert find_warnings(character_from_card(full)) == []


def test_a_card_of_a_later_version_is_warned_of() -> None:
    """It is read all the same."""
    card = make_card(first_mes="Hi.", description="x")
    later = replace(card, spec_version="3.1")
    (warning,) = find_warnings(character_from_card(later))
    assert "3.1" in warning


def test_a_picture_that_is_not_shown_is_warned_of() -> None:
    """There is a file, and it is none that a page may have."""
    icon = {"type": "icon", "uri": "embeded://a.svg", "name": "main"}
    card = make_card(first_mes="Hi.", description="x", assets=[icon])
    mika = character_from_card(replace(card, files={"a.svg": b"<svg/>"}))
    (warning,) = find_warnings(mika)
    assert "picture" in warning
