"""Cards in, pictures that a browser may be given out."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from server.cards.png import Chunk, read_png
from server.cards.read import read_card
from server.characters.picture import MAX_PICTURE_BYTES, MAX_SIDE, look_at, picture_of
from tests.support.cards import card_png, make_card, picture


def jpeg(width: int, height: int) -> bytes:
    """The head of one, with a table before its frame."""
    table = b"\xff\xdb" + struct.pack(">H", 5) + b"abc"
    frame = b"\xff\xff\xc2" + struct.pack(">HBHHB", 8, 8, height, width, 3)
    return b"\xff\xd8\xff\xd0" + table + frame


def webp(kind: bytes, body: bytes) -> bytes:
    """The head of one."""
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + body


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (picture(20, 30), ("image/png", (20, 30))),
        (jpeg(640, 480), ("image/jpeg", (640, 480))),
        (webp(b"VP8X", b"\0" * 4 + b"\x0f\0\0\x1f\0\0"), ("image/webp", (16, 32))),
        (webp(b"VP8L", b"\x2f" + struct.pack("<I", 15 | 31 << 14)), ("image/webp", (16, 32))),
        (webp(b"VP8 ", b"\0" * 6 + struct.pack("<HH", 16, 32)), ("image/webp", (16, 32))),
        (webp(b"ALPH", b""), ("image/webp", (0, 0))),
        (b"\xff\xd8\xff", ("", (0, 0))),
        (b"\xff\xd8\xff\xd0\0\0", ("image/jpeg", (0, 0))),
        (b"\x89PNG\r\n\x1a\n", ("", (0, 0))),
        (b"<svg onload='x()'>", ("", (0, 0))),
        (b"", ("", (0, 0))),
    ],
)
def test_pictures_are_told_by_their_bytes(
    content: bytes, seen: tuple[str, tuple[int, int]]
) -> None:
    """What else a file may be called; cut-off heads are nothing, and end."""
    assert look_at(content) == seen


def test_the_picture_of_a_card_does_not_hold_the_card() -> None:
    """Its prompt stays inside."""
    card = read_card(card_png(description="SECRET words"), file="mika.png")
    shown = picture_of(card)
    assert shown is not None
    assert shown.media_type == "image/png"
    assert card.picture is not None
    assert {chunk.kind for chunk in card.picture.chunks} > {b"tEXt"}
    kinds = [chunk.kind for chunk in read_png(shown.content, file="x").chunks]
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_the_icon_called_main_is_shown() -> None:
    """Of several; the specification's spelling of the scheme and the right one both count."""
    assets = [
        {"type": "icon", "uri": "embeded://a.png", "name": "other", "ext": "png"},
        {"type": "icon", "uri": "embedded://b.jpg", "name": "main", "ext": "jpeg"},
    ]
    card = replace(make_card(assets=assets), assets={"a.png": picture(), "b.jpg": jpeg(8, 8)})
    shown = picture_of(card)
    assert shown is not None
    assert shown.media_type == "image/jpeg"
    other = picture_of(replace(card, assets={"a.png": picture()}))
    assert other is not None
    assert other.media_type == "image/png"


@pytest.mark.parametrize(
    "content",
    [
        jpeg(MAX_SIDE + 1, 1),
        jpeg(8, 8) + b"\0" * MAX_PICTURE_BYTES,
        b"<svg/>",
        picture()[:-9],
        b"",
    ],
)
def test_what_a_browser_should_not_get_is_no_picture(content: bytes) -> None:
    """Too many pixels or bytes, another kind, or damaged."""
    icon = {"type": "icon", "uri": "embeded://x", "name": "main", "ext": "png"}
    assert picture_of(replace(make_card(assets=[icon]), assets={"x": content})) is None


@pytest.mark.parametrize("assets", [None, "x", [1, {"type": "icon"}, {"type": "icon", "uri": 3}]])
def test_a_list_of_assets_that_is_none_is_passed_over(assets: object) -> None:
    """It is kept, and there is no picture."""
    assert picture_of(make_card(assets=assets)) is None


def test_a_huge_picture_is_not_shown_however_small_its_file() -> None:
    """The header of a PNG is believed where it claims too much."""
    card = read_card(card_png(), file="mika.png")
    assert card.picture is not None
    first, *rest = card.picture.chunks
    wide = Chunk(b"IHDR", struct.pack(">II", 60_000, 60_000) + first.data[8:])
    huge = replace(card.picture, chunks=(wide, *rest))
    assert picture_of(replace(card, picture=huge)) is None
