"""Cards into any file, and out of it as they were."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from server.cards.archive import MAX_MEMBERS
from server.cards.card import Card, make_card
from server.cards.json_text import MAX_DEPTH
from server.cards.png import read_png
from server.cards.read import read_card, read_lorebook
from server.cards.write import PORTRAIT_PATH, Format, write_card, write_lorebook
from server.errors import CardError
from tools.cards.samples import Sample, make_samples, png_bytes, png_of

SAMPLES = make_samples(21, per_kind=1)
PICTURE = read_png(png_bytes(png_of({})))
DATA: dict[str, Any] = {"name": "Aoi", "extensions": {}}
V3 = {"spec": "chara_card_v3", "spec_version": "3.0", "data": DATA}
ICON = {"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png", "x": 1}


def card(**fields: Any) -> Card:
    """Make a V3 card."""
    return make_card({**V3, "data": {**DATA, **fields}}, container="json")


def reread(card: Card, format: Format, version: int | None = None) -> Card:
    """Write a card and read that."""
    return read_card(write_card(card, format, version=version), file="x")


def texts_of(data: bytes) -> dict[str, Any]:
    """Return the JSON in a picture's texts, by keyword."""
    return {
        chunk.keyword: json.loads(base64.b64decode(chunk.data.partition(b"\0")[2]))
        for chunk in read_png(data).chunks
        if chunk.keyword in ("chara", "ccv3")
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
@pytest.mark.parametrize(
    ("format", "version"),
    [("json", None), ("json", 1), ("json", 2), ("json", 3), ("png", None), ("charx", None)],
)
def test_what_is_written_is_read_as_it_was(
    sample: Sample, format: Format, version: int | None
) -> None:
    """Its JSON, its files, and its picture, whatever it came in and goes into."""
    card = read_card(sample.data, file="x")
    assert card.raw == sample.raw
    again = reread(card, format, version)
    assert again.raw == sample.raw
    assert again.files == sample.files
    assert again.picture == card.picture


def test_an_animation_stays_one() -> None:
    """As a picture, and behind any other format."""
    for sample in SAMPLES:
        if " apng " in sample.name:
            card = read_card(sample.data, file="x")
            assert reread(card, "png").container == "apng"
            assert reread(reread(card, "charx"), "png").container == "apng"


def test_a_picture_holds_both_versions() -> None:
    """For V3 programs the card, and for others a V2 form that says so."""
    texts = texts_of(write_card(card(nickname="葵"), "png"))
    assert texts["ccv3"]["data"]["nickname"] == "葵"
    assert texts["chara"]["spec"] == "chara_card_v2"
    assert "nickname" not in texts["chara"]["data"]
    assert "Character Card V3" in texts["chara"]["data"]["creator_notes"]


def test_an_older_card_is_whole_in_both_versions() -> None:
    """It is no V3 card that lost something."""
    for raw in ({"name": "Aoi"}, {"spec": "chara_card_v2", "data": {"name": "Aoi"}}):
        texts = texts_of(write_card(make_card(raw, container="json"), "png"))
        assert texts["chara"]["data"].get("creator_notes", "") == ""
        assert texts["ccv3"]["spec"] == "chara_card_v3"
        for text in texts.values():
            assert read_card(json.dumps(text).encode(), file="x").raw == raw


def test_a_picture_is_drawn_where_there_is_none() -> None:
    """And forgotten when the card is read again."""
    data = write_card(card(), "png")
    assert read_png(data).chunks[0].kind == b"IHDR"
    assert reread(card(), "png").picture is None


def test_the_icon_is_the_picture_where_there_is_none() -> None:
    """If it is a sound PNG; the card must not suffer from a broken one."""
    png = png_bytes(png_of({}))
    icon = {**ICON, "uri": "embeded://a.png"}
    for data, is_icon in ((png, True), (png[:50], False), (b"\xff\xd8", False)):
        with_icon = replace(card(assets=[icon]), files={"a.png": data})
        written = read_png(write_card(with_icon, "png"))
        assert (PICTURE.chunks[0] in written.chunks) is is_icon
        assert reread(with_icon, "png").files == {"a.png": data}


@pytest.mark.parametrize("path", ["a", "faces/é.png", "顔.png", "n" * 99, "kaiwa-1", "kaiwa-0"])
def test_files_of_any_name_fit_into_a_picture(path: str) -> None:
    """A keyword is short and Latin-1; other names travel with the card."""
    files = {path: b"1", "kaiwa-7": b"2"}
    assert reread(replace(card(), files=files), "png").files == files


@pytest.mark.parametrize(
    "assets",
    [
        None,
        [],
        [ICON],
        [{"type": "emotion", "uri": "ccdefault:", "name": "main"}],
        [{**ICON, "uri": "https://example.com/a.png"}, ICON],
        [{**ICON, "name": "other"}, ICON, {**ICON, "name": "third"}],
    ],
)
def test_the_picture_becomes_the_icon_of_a_charx(assets: list[Any] | None) -> None:
    """Unless another stands there; reading takes it back either way."""
    fields = {} if assets is None else {"assets": assets}
    with_picture = replace(card(**fields), picture=PICTURE)
    with zipfile.ZipFile(io.BytesIO(write_card(with_picture, "charx"))) as archive:
        listed = json.loads(archive.read("card.json"))["data"]["assets"]
        assert archive.read(PORTRAIT_PATH).startswith(b"\x89PNG")
    uris = [asset["uri"] for asset in listed if asset["type"] == "icon"]
    is_replaced = not assets or assets[0]["uri"] == "ccdefault:"
    assert (f"embeded://{PORTRAIT_PATH}" in uris) is is_replaced
    again = reread(with_picture, "charx")
    assert again.raw == with_picture.raw
    assert (again.picture, again.files) == (PICTURE, {})


def test_the_portrait_takes_nobodys_place() -> None:
    """A file of its name stays what it was."""
    files = {PORTRAIT_PATH: b"mine"}
    again = reread(replace(card(), picture=PICTURE, files=files), "charx")
    assert (again.picture, again.files) == (PICTURE, files)


@pytest.mark.parametrize(("format", "version"), [("png", 2), ("charx", 3), ("json", 4)])
def test_versions_are_for_json(format: Format, version: int) -> None:
    """The other formats say themselves which they hold."""
    with pytest.raises(CardError) as caught:
        write_card(card(), format, version=version)
    assert caught.value.code == "card_unsupported"


@pytest.mark.slow
def test_large_files_go_into_a_charx_only() -> None:
    """Base64 in JSON has its limits, and says where to go."""
    large = replace(card(), files={"a": bytes(17 * 1024 * 1024)})
    for format, code in (("json", "card_too_large"), ("png", "card_chunk_too_large")):
        with pytest.raises(CardError, match="CHARX") as caught:
            write_card(large, format)  # type: ignore[arg-type]
        assert caught.value.code == code
    assert reread(large, "charx").files == large.files


def test_too_many_files_are_refused() -> None:
    """Rather than written so that nobody can read them."""
    many = replace(card(), files={f"{n}": b"" for n in range(MAX_MEMBERS)})
    with pytest.raises(CardError, match="does not go into charx") as caught:
        write_card(many, "charx")
    assert caught.value.code == "card_too_many_entries"


def test_a_card_at_the_limit_of_depth_is_refused_where_it_gets_deeper() -> None:
    """V1 carries the whole card within itself."""
    value: Any = "x"
    for _ in range(MAX_DEPTH - 3):
        value = [value]
    deep = card(x=[value])
    assert reread(deep, "json").raw == deep.raw
    with pytest.raises(CardError) as caught:
        write_card(deep, "json", version=1)
    assert caught.value.code == "card_too_deep"


def test_what_would_not_come_out_is_refused() -> None:
    """Such as a picture that still holds an old card."""
    stale = PICTURE.with_texts({"chara": b"{}"})
    with pytest.raises(CardError, match="would not come out") as caught:
        write_card(replace(card(), picture=stale), "png")
    assert caught.value.code == "card_unsupported"


def test_a_lorebook_leaves_as_a_file_of_its_own() -> None:
    """With fields that nobody knows; a card without one has none."""
    book = {
        "entries": [{"keys": ["sea"], "content": "Blue.", "extensions": {}, "odd": [1]}],
        "x": 2,
    }
    card = make_card({**V3, "data": {**DATA, "character_book": book}}, container="json")
    data = write_lorebook(card)
    assert data is not None
    assert json.loads(data) == {"spec": "lorebook_v3", "data": book}
    assert read_lorebook(data, file="book").entries == card.book.entries  # type: ignore[union-attr]
    assert write_lorebook(make_card(V3, container="json")) is None
