"""Cards and lorebooks out of any file that holds one."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from server.cards.archive import MAX_MEMBERS
from server.cards.card import Card
from server.cards.read import MAX_FILE_BYTES, read_card, read_lorebook
from server.errors import CardError
from tools.cards.material import CARD, PLAIN, V3, b64, carrying, dump, png
from tools.cards.raw_zip import Member, raw_zip
from tools.cards.samples import charx_of, picture_chunks, png_bytes, png_of


def read(data: bytes) -> Card:
    """Read a card from a file without a telling name."""
    return read_card(data, file="upload")


def refusal(data: bytes) -> CardError:
    """Return the error by which a file is refused."""
    with pytest.raises(CardError) as caught:
        read(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "container"),
    [
        (CARD, "json"),
        (b"\xef\xbb\xbf \r\n" + CARD, "json"),
        (png({"ccv3": b64(CARD)}), "png"),
        (png({"Chara": b64(CARD)}), "png"),
        (png({}, b"chara\0\0" + zlib.compress(b64(CARD)), kind=b"zTXt"), "png"),
        (png_bytes(png_of({"ccv3": b64(CARD)}, animated=True)), "apng"),
        (charx_of(V3, {}), "charx"),
        (b"\xff\xd8\xff\xe0 a JPEG" + charx_of(V3, {}), "charx"),
        (png({}) + charx_of(V3, {}), "charx"),
    ],
)
def test_the_kind_is_told_by_content(data: bytes, container: str) -> None:
    """The file's name says nothing."""
    card = read(data)
    assert (card.raw, card.container) == (V3, container)


def test_v3_counts_more_in_a_picture() -> None:
    """Whatever stands first."""
    card = read(png({"chara": b64(dump({"name": "old"})), "ccv3": b64(CARD)}))
    assert (card.name, card.version) == ("Aoi", 3)


def test_the_picture_is_kept_without_the_card() -> None:
    """And its embedded files by their paths."""
    chunks = png_of({"ccv3": b64(CARD), "chara-ext-asset_:faces/1": b64(b"one")})
    card = read(png_bytes(chunks))
    assert card.picture is not None
    assert [(c.kind, c.data) for c in card.picture.chunks] == picture_chunks(chunks)
    assert card.files == {"faces/1": b"one"}


def test_members_of_a_charx_are_kept() -> None:
    """Also those that nobody knows."""
    files = {"assets/a.png": b"1", "module.risum": b"2", "x.json": b"{}"}
    assert read(charx_of(V3, files)).files == files


def test_carried_files_and_pictures_come_back() -> None:
    """Out of JSON, by their checked paths."""
    picture = png_bytes(png_of({}))
    card = read(carrying({"files": {"a/b": "b25l"}, "picture": b64(picture).decode()}))
    assert card.files == {"a/b": b"one"}
    assert card.picture is not None
    assert card.raw == {**V3, "data": {**PLAIN, "extensions": {}}}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "card_unsupported"),
        (b"GIF89a", "card_unsupported"),
        (b"[]", "card_unsupported"),
        (b"{" * 999, "card_too_deep"),
        (b"{", "card_bad_json"),
        (b"{}", "card_no_data"),
        (png({}), "card_no_data"),
        (png({"chara": b"???"}), "card_bad_base64"),
        (png({"ccv3": b64(CARD)}, b"chara-ext-asset_:/a\0eA=="), "card_bad_path"),
        (
            png({"ccv3": b64(CARD)}, b"chara-ext-asset_:a\0", b"chara-ext-asset_:A\0"),
            "card_bad_path",
        ),
        (charx_of(V3, {})[:-9], "card_bad_container"),
        (raw_zip([Member("x/card.json", CARD)]), "card_no_data"),
        (raw_zip([Member("card.json", b"[1]")]), "card_bad_json"),
        (carrying({"files": {"../a": ""}}), "card_bad_path"),
        (carrying({"files": {"a": "?"}}), "card_bad_base64"),
        (carrying({"files": {"a": "é"}}), "card_bad_base64"),
        (carrying({"files": 3}), "card_bad_field"),
        (
            carrying({"files": {str(n): "" for n in range(MAX_MEMBERS + 1)}}),
            "card_too_many_entries",
        ),
        (carrying({"picture": 3}), "card_bad_base64"),
        (carrying({"picture": "e30="}), "card_bad_container"),
    ],
)
def test_other_files_are_refused(data: bytes, code: str) -> None:
    """By a stable code, and by the file's name."""
    error = refusal(data)
    assert (error.code, error.file) == (code, "upload")
    assert str(error).startswith("upload: ")
    assert len(str(error)) < 400


def test_false_names_of_embedded_files_are_refused() -> None:
    """A name that stands for a path must stand for text."""
    raw = {**V3, "data": {**PLAIN, "extensions": {"kaiwa_card": {"paths": {"a": 1}}}}}
    data = png({"ccv3": b64(dump(raw))}, b"chara-ext-asset_:a\0eA==")
    assert refusal(data).code == "card_bad_path"


def test_large_files_are_refused_unread() -> None:
    """Whatever they hold."""
    assert refusal(bytes(MAX_FILE_BYTES + 1)).code == "card_too_large"


@pytest.mark.parametrize(
    "portrait", [{"path": "nowhere.png"}, {"path": 3}, "text", {"path": "a", "stood": []}]
)
def test_false_notes_of_a_portrait_do_no_harm(portrait: object) -> None:
    """Without the picture, nothing is taken out of the card."""
    data = {**PLAIN, "assets": [], "extensions": {"kaiwa_card": {"portrait": portrait}}}
    card = read(charx_of({**V3, "data": data}, {"a": b"1"}))
    assert (card.files, card.picture) == ({"a": b"1"}, None)


@pytest.mark.parametrize("assets", [None, "text", [{"uri": "embeded://a"}]])
def test_a_portrait_is_taken_back_from_any_list(assets: object) -> None:
    """What the list has become since is not believed either."""
    picture = png_bytes(png_of({}))
    luggage = {"portrait": {"path": "a", "stood": "alone"}}
    data = {**PLAIN, "assets": assets, "extensions": {"kaiwa_card": luggage}}
    file = charx_of({**V3, "data": data}, {"a": picture})
    if assets == "text":
        assert refusal(file).key == "data.assets"
    else:
        assert read(file).picture is not None


BOOK = {"name": "World", "entries": [{"keys": ["sea"], "content": "wide"}]}


@pytest.mark.parametrize(
    "raw",
    [
        {"spec": "lorebook_v3", "data": BOOK},
        BOOK,
        {"name": "World", "entries": {"0": {"key": ["sea"], "content": "wide"}}},
        {"spec": "lorebook_v3", "data": {**BOOK, "entries": {"0": {"key": ["sea"]}}}},
    ],
)
def test_lorebooks_are_read(raw: dict[str, object]) -> None:
    """Of V3, bare ones, and world info."""
    book = read_lorebook(json.dumps(raw).encode(), file="world.json")
    assert book.name == "World"
    assert book.entries[0].keys == ("sea",)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{}", "card_no_data"),
        (CARD, "card_no_data"),
        (b'{"entries": 3}', "card_no_data"),
        (b'{"entries": [3]}', "card_bad_field"),
        (b'{"entries": {"a": 3}}', "card_bad_field"),
        (b"not JSON", "card_bad_json"),
        (base64.b64encode(CARD), "card_bad_json"),
    ],
)
def test_what_is_no_lorebook_is_refused(data: bytes, code: str) -> None:
    """By a stable code, and by the file's name."""
    with pytest.raises(CardError) as caught:
        read_lorebook(data, file="world.json")
    assert (caught.value.code, caught.value.file) == (code, "world.json")
