"""Cards in, pictures that a browser may be given out."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from server.cards.card import Card
from server.cards.png import Chunk, Png, read_png, write_png
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
        (webp(b"XXXX", b""), ("image/webp", (0, 0))),
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


def with_file(content: bytes, uri: str = "embeded://x") -> Card:
    """A card whose main icon is a file."""
    icon = {"type": "icon", "uri": uri, "name": "main", "ext": "png"}
    return replace(make_card(assets=[icon]), files={"x": content})


@pytest.mark.parametrize("uri", ["embeded://x", "ccdefault:"])
def test_a_picture_holds_no_text(uri: str) -> None:
    """Neither the card, nor what a program that draws has noted."""
    first, *rest = read_png(picture()).chunks
    noted = Png((first, Chunk(b"tEXt", b"parameters\0SECRET"), *rest))
    card = replace(with_file(write_png(noted), uri), picture=noted)
    shown = picture_of(card)
    assert shown is not None
    assert shown.media_type == "image/png"
    assert [one.kind for one in read_png(shown.content).chunks] == [b"IHDR", b"IDAT", b"IEND"]


def test_the_picture_that_a_card_came_in_is_shown() -> None:
    """Where it names no other."""
    shown = picture_of(read_card(card_png(description="SECRET words"), file="mika.png"))
    assert shown is not None
    assert look_at(shown.content) == ("image/png", (16, 16))
    assert b"tEXt" not in shown.content


def test_an_icon_of_another_kind_is_shown_as_it_is() -> None:
    """JPEG and WebP."""
    shown = picture_of(with_file(jpeg(8, 8)))
    assert shown is not None
    assert (shown.media_type, shown.content) == ("image/jpeg", jpeg(8, 8))


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
    assert picture_of(with_file(content)) is None


def test_a_huge_picture_is_not_shown_however_small_its_file() -> None:
    """The header of a PNG is believed where it claims too much."""
    card = read_card(card_png(), file="mika.png")
    assert card.picture is not None
    first, *rest = card.picture.chunks
    wide = Chunk(b"IHDR", struct.pack(">II", 60_000, 60_000) + first.data[8:])
    huge = replace(card.picture, chunks=(wide, *rest))
    assert picture_of(replace(card, picture=huge)) is None
