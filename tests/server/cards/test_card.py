"""Cards: what is read of their JSON, and what of it is for models."""

from __future__ import annotations

from typing import Any

import pytest

from server.cards.card import (
    MAX_ASSETS,
    PROMPT_FIELDS,
    PROMPT_TEXTS,
    Asset,
    Card,
    find_version,
    make_card,
)
from server.errors import CardError

DATA: dict[str, Any] = {
    "name": "Aoi",
    "nickname": "葵",
    "description": "d",
    "personality": "p",
    "scenario": "s",
    "first_mes": "f",
    "mes_example": "m",
    "system_prompt": "sys",
    "post_history_instructions": "phi",
    "alternate_greetings": ["a", "b"],
    "group_only_greetings": ["g"],
    "creator": "somebody",
    "creator_notes": "notes",
    "character_version": 2,
    "tags": ["x", "y"],
    "extensions": {"k": 1},
    "assets": [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}],
    "character_book": {"entries": [{"keys": ["sea"], "content": "wide"}]},
}
V3 = {"spec": "chara_card_v3", "spec_version": "3.0", "data": DATA}


def card(**data: Any) -> Card:
    """Make a V3 card of a name and some fields."""
    return make_card({**V3, "data": {"name": "Aoi", **data}}, container="json")


def test_all_fields_are_read() -> None:
    """Under the specification's names."""
    found = make_card(V3, container="png")
    texts = {name: getattr(found, name) for name in PROMPT_TEXTS}
    assert texts == {name: DATA[name] for name in PROMPT_TEXTS}
    assert (found.alternate_greetings, found.group_only_greetings) == (("a", "b"), ("g",))
    assert (found.creator, found.creator_notes, found.character_version) == (
        "somebody",
        "notes",
        "2",
    )
    assert (found.tags, found.extensions) == (("x", "y"), {"k": 1})
    assert found.assets == (Asset(type="icon", uri="ccdefault:", name="main", ext="png"),)
    assert found.book is not None
    assert found.book.entries[0].keys == ("sea",)
    assert (found.version, found.spec_version, found.container) == (3, "3.0", "png")
    assert found.raw is V3


def test_a_flat_card_is_read() -> None:
    """V1 has no data, and its unknown fields may be called anything."""
    found = make_card({"name": "Aoi", "first_mes": "Hi", "tags": "x, y"}, container="json")
    assert (found.version, found.name, found.first_mes) == (1, "Aoi", "Hi")
    assert (found.book, found.spec_version, found.tags) == (None, "", ("x", "y"))


def test_missing_and_null_fields_are_empty() -> None:
    """Real cards leave out what they do not use."""
    found = card(**dict.fromkeys((name for name in DATA if name != "name"), None))
    assert found == card(**dict.fromkeys((n for n in DATA if n != "name"), None))
    assert (found.description, found.tags, found.extensions, found.book) == ("", (), {}, None)
    assert card(character_book={}).book is None


@pytest.mark.parametrize(
    ("nickname", "name"), [("葵", "葵"), ("", "Aoi"), (None, "Aoi"), ("  ", "Aoi")]
)
def test_the_nickname_stands_for_the_character(nickname: str | None, name: str) -> None:
    """Where there is one."""
    assert card(nickname=nickname).char_name == name


def test_greetings_keep_their_numbers() -> None:
    """``@@is_greeting`` counts the first message as 0, also where it is empty."""
    assert card(first_mes="a", alternate_greetings=["b"]).greetings == ("a", "b")
    assert card(alternate_greetings=["b"]).greetings == ("", "b")
    assert card(first_mes=" ").greetings == ()
    assert card(group_only_greetings=["g"]).group_greetings == ("g",)


def test_only_prompt_fields_are_given_to_prompts() -> None:
    """V2 and V3 forbid the others."""
    found = make_card(V3, container="json")
    assert [found.text(name) for name in PROMPT_TEXTS] == [DATA[name] for name in PROMPT_TEXTS]
    forbidden = ("creator", "creator_notes", "character_version", "tags", "extensions", "source")
    for name in (*forbidden, "creator_notes_multilingual", "creation_date", "assets", "raw"):
        assert name not in PROMPT_FIELDS
        with pytest.raises(KeyError):
            found.text(name)


@pytest.mark.parametrize(
    ("spec", "version"), [("chara_card_v2", 2), ("chara_card_v3", 3), ("chara_card_v4", 3)]
)
def test_versions_are_told_by_spec(spec: str, version: int) -> None:
    """A newer one is read as the newest known."""
    assert find_version({"spec": spec, "data": {}}) == version


def test_versions_are_told_by_shape_without_spec() -> None:
    """As SillyTavern does."""
    assert find_version({"data": {"name": "a"}}) == 2
    assert find_version({"name": "a"}) == find_version({"spec": "chara_card_v1", "name": "a"}) == 1


@pytest.mark.parametrize(
    ("version", "is_newer"), [("3.0", False), ("3.1", True), ("x", False), (4, True), (None, False)]
)
def test_newer_versions_are_read_and_noted(version: object, is_newer: bool) -> None:
    """V3: they SHOULD NOT be rejected, and people should be told."""
    found = make_card({**V3, "spec_version": version}, container="json")
    assert found.is_newer is is_newer


@pytest.mark.parametrize(
    ("raw", "code", "key"),
    [
        ({}, "card_no_data", None),
        ({"temperature": 1}, "card_no_data", None),
        ({"spec": "lorebook_v3", "data": {"entries": []}}, "card_no_data", "spec"),
        ({"spec": "persona_v1", "name": "a"}, "card_no_data", "spec"),
        ({"spec": "chara_card_v2", "data": []}, "card_bad_field", "data"),
        ({"name": "  "}, "card_bad_field", "name"),
        ({**V3, "data": {"name": None}}, "card_bad_field", "data.name"),
        ({**V3, "data": {**DATA, "scenario": []}}, "card_bad_field", "data.scenario"),
        ({**V3, "data": {**DATA, "assets": "x"}}, "card_bad_field", "data.assets"),
        ({**V3, "data": {**DATA, "assets": ["x"]}}, "card_bad_field", "data.assets[0]"),
        ({**V3, "data": {**DATA, "assets": [{"uri": 1}]}}, "card_bad_field", "data.assets[0].uri"),
        (
            {**V3, "data": {**DATA, "assets": [{}] * (MAX_ASSETS + 1)}},
            "card_too_many_entries",
            "data.assets",
        ),
        (
            {**V3, "data": {**DATA, "character_book": {"entries": [1]}}},
            "card_bad_field",
            "data.character_book.entries[0]",
        ),
    ],
)
def test_what_is_no_card_is_refused(raw: dict[str, Any], code: str, key: str | None) -> None:
    """By the path of the field at fault."""
    with pytest.raises(CardError) as caught:
        make_card(raw, container="json")
    assert (caught.value.code, caught.value.key) == (code, key)
