"""A card in another version, and back."""

from __future__ import annotations

import random
from typing import Any

import pytest

from server.cards.card import V1_FIELDS, find_version
from server.cards.versions import BACKFILL_NOTE, LUGGAGE, backfill, pack, unpack
from server.errors import CardError
from tools.cards.samples import make_raw

V1 = {"name": "Aoi", "first_mes": "Hi", "x": 1}
V2 = {"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Aoi", "x": 1}, "y": 2}
V3 = {
    "spec": "chara_card_v3",
    "spec_version": "3.1",
    "data": {"name": "Aoi", "nickname": "葵", "extensions": {"a": 1}, "source": None},
}


@pytest.mark.parametrize("raw", [V1, V2, V3])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_packing_is_taken_back(raw: dict[str, Any], version: int) -> None:
    """From any version to any other, with luggage and without."""
    before = repr(raw)
    packed = pack(raw, version)
    assert find_version(packed) == version
    assert unpack(packed) == (raw, {})
    assert unpack(pack(raw, version, {"picture": "x"})) == (raw, {"picture": "x"})
    assert repr(raw) == before


def test_random_cards_come_back() -> None:
    """Whatever they hold, leave out or set to null."""
    rng = random.Random(11)
    for _ in range(60):
        raw = make_raw(rng, rng.choice((1, 2, 3)))
        assert unpack(pack(raw, rng.choice((1, 2, 3)), {"files": {}}))[0] == raw


@pytest.mark.parametrize("extensions", [None, [], "text", {}, {"a": 1}])
def test_extensions_of_any_kind_come_back(extensions: object) -> None:
    """Also where they were no object that could carry anything."""
    raw = {**V2, "data": {"name": "Aoi", "extensions": extensions}}
    for version in (1, 2, 3):
        assert unpack(pack(raw, version, {"files": {}}))[0] == raw


def test_v2_has_no_fields_of_v3() -> None:
    """They travel in the extensions, beside what was there."""
    data = pack(V3, 2)["data"]
    assert "nickname" not in data
    assert data["extensions"]["a"] == 1
    assert data["extensions"][LUGGAGE]["was"]["data"] == {"nickname": "葵", "source": None}
    assert data["tags"] == []


def test_v3_has_what_it_demands() -> None:
    """Empty, where the card had none."""
    packed = pack(V1, 3)
    assert (packed["spec"], packed["spec_version"], packed["x"]) == ("chara_card_v3", "3.0", 1)
    assert packed["data"]["group_only_greetings"] == []
    assert packed["data"]["description"] == ""


def test_v1_stands_in_the_open() -> None:
    """The six fields are there for every reader."""
    packed = pack(V3, 1)
    assert packed.keys() == {*V1_FIELDS, "extensions"}
    assert (packed["name"], packed["scenario"]) == ("Aoi", "")


@pytest.mark.parametrize("version", [1, 2])
def test_what_another_program_changes_counts(version: int) -> None:
    """More than the luggage that it left alone."""
    packed = pack(V3, version)
    holder = packed if version == 1 else packed["data"]
    holder["name"] = "Haru"
    holder["scenario"] = "new"
    holder["extensions"]["other"] = 2
    raw, _ = unpack(packed)
    assert raw["data"]["name"] == "Haru"
    assert raw["data"]["scenario"] == "new"
    assert raw["data"]["nickname"] == "葵"
    assert raw["spec_version"] == "3.1"
    assert version == 1 or raw["data"]["extensions"] == {"a": 1, "other": 2}


def test_what_the_older_version_cannot_say_keeps_the_newer() -> None:
    """A card that has got fields of V3 is one."""
    packed = pack(V2, 3)
    packed["data"]["group_only_greetings"] = ["Hi, all"]
    assert find_version(unpack(packed)[0]) == 3
    packed = pack(V1, 2)
    packed["data"]["tags"] = ["sea"]
    raw, _ = unpack(packed)
    assert find_version(raw) == 2
    assert LUGGAGE not in raw["data"]["extensions"]


def test_the_form_for_old_programs_is_trimmed() -> None:
    """V3 asks for a note, and for no decorators; it carries no luggage."""
    book = {"entries": [{"content": "@@depth 4\nIt is wide."}, "odd", {"content": None}]}
    raw = {**V3, "data": {**V3["data"], "character_book": book, "creator_notes": "Mine"}}  # type: ignore[dict-item]
    plain = backfill(raw)
    assert (plain["spec"], plain["spec_version"]) == ("chara_card_v2", "2.0")
    assert plain["data"]["creator_notes"] == f"{BACKFILL_NOTE}\n\nMine"
    assert plain["data"]["character_book"]["entries"][0] == {"content": "It is wide."}
    assert plain["data"]["extensions"] == {"a": 1}
    assert backfill(V3)["data"]["creator_notes"] == BACKFILL_NOTE
    assert book["entries"][0] == {"content": "@@depth 4\nIt is wide."}


@pytest.mark.parametrize(
    "luggage",
    [
        None,
        [],
        {"was": None},
        {"was": {}},
        {"was": {"added": 1, "top": {}, "data": {}}},
        {"was": {"added": [], "top": [], "data": {}}},
        {"was": {"added": [], "top": {}, "data": 3}},
        {"extensions": "x"},
        {"extensions": [1, 2]},
        {"extensions": [{LUGGAGE: {}}]},
    ],
)
def test_false_luggage_is_refused(luggage: object) -> None:
    """It is as little believed as the rest of a card."""
    raw = {**V2, "data": {"name": "Aoi", "extensions": {LUGGAGE: luggage}}}
    with pytest.raises(CardError) as caught:
        unpack(raw)
    assert (caught.value.code, caught.value.key) == ("card_bad_field", f"extensions.{LUGGAGE}")


def test_luggage_of_odd_values_does_no_harm() -> None:
    """Names that are no texts, and names of nothing."""
    was = {"version": 2, "top": {}, "data": {"nickname": 1}, "added": [[], {}, "nobody", None]}
    raw = {**V3, "data": {"name": "Aoi", "extensions": {LUGGAGE: {"was": was}}}}
    data = {"name": "Aoi", "nickname": 1, "extensions": {}}
    assert unpack(raw) == ({"data": data}, {})
