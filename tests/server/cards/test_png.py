"""PNG and APNG: chunks in, the same chunks out."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest

from server.cards.png import (
    MAX_CHUNKS,
    MAX_SIDE,
    MAX_TEXT_BYTES,
    Chunk,
    decode_text,
    draw_png,
    read_png,
    write_png,
)
from server.errors import CardError
from tools.cards.samples import png_bytes, png_of

SOUND = png_of({"chara": b"e30="})


def refusal(data: bytes) -> str:
    """Return the code by which a picture is refused."""
    with pytest.raises(CardError) as caught:
        read_png(data)
    return caught.value.code


@pytest.mark.parametrize("animated", [False, True])
def test_a_picture_is_written_as_it_was_read(animated: bool) -> None:
    """Byte for byte; an animation stays one."""
    data = png_bytes(png_of({"chara": b"e30="}, animated=animated))
    picture = read_png(data)
    assert write_png(picture) == data
    assert picture.is_animated is animated


def test_what_follows_the_end_is_not_kept() -> None:
    """It is no part of the picture."""
    data = png_bytes(SOUND)
    assert write_png(read_png(data + b"more")) == data


def test_texts_are_found_in_either_case() -> None:
    """The first counts, as in SillyTavern."""
    chunks = [SOUND[0], (b"tEXt", b"CCv3\0b25l"), (b"tEXt", b"ccv3\0dHdv"), *SOUND[1:]]
    found = read_png(png_bytes(chunks)).find("ccv3")
    assert found is not None
    assert decode_text(found) == b"one"
    assert read_png(png_bytes(SOUND)).find("ccv3") is None


def test_texts_are_taken_out_by_keyword_or_prefix() -> None:
    """Others stay, also those whose keywords only begin like one of a card."""
    chunks = [*SOUND[:-1], (b"tEXt", b"charade\0x"), (b"tEXt", b"own_a\0x"), SOUND[-1]]
    bare = read_png(png_bytes(chunks)).without(("chara",), prefix="own_")
    assert [c.keyword for c in bare.chunks if c.keyword] == [
        "Comment",
        "Character",
        "Title",
        "charade",
    ]


def test_texts_are_put_before_the_end() -> None:
    """The pixels stay as they were."""
    picture = read_png(png_bytes(SOUND)).with_texts({"ccv3": b"{}"})
    assert [c.kind for c in picture.chunks[-2:]] == [b"tEXt", b"IEND"]
    found = read_png(write_png(picture)).find("ccv3")
    assert found is not None
    assert decode_text(found) == b"{}"


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(b"tEXt", b"ccv3\0" + base64.b64encode(b"{}")),
        Chunk(b"tEXt", b"ccv3\0 e30\r\n"),
        Chunk(b"zTXt", b"ccv3\0\0" + zlib.compress(b"e30=")),
        Chunk(b"iTXt", b"ccv3\0\0\0en\0ccv3\0e30="),
        Chunk(b"iTXt", b"ccv3\0\1\0\0\0" + zlib.compress(b"e30=")),
    ],
)
def test_every_kind_of_text_is_decoded(chunk: Chunk) -> None:
    """Line ends and missing padding are forgiven."""
    assert decode_text(chunk) == b"{}"


@pytest.mark.parametrize(
    ("chunk", "code"),
    [
        (Chunk(b"tEXt", b"ccv3\0???"), "card_bad_base64"),
        (Chunk(b"tEXt", b"ccv3\0A"), "card_bad_base64"),
        (Chunk(b"tEXt", b"ccv3\0" + b"A" * (MAX_TEXT_BYTES + 1)), "card_chunk_too_large"),
        (
            Chunk(b"zTXt", b"ccv3\0\0" + zlib.compress(bytes(MAX_TEXT_BYTES + 1))),
            "card_chunk_too_large",
        ),
        (Chunk(b"zTXt", b"ccv3\0\0garbage"), "card_bad_container"),
    ],
)
def test_bad_texts_are_refused(chunk: Chunk, code: str) -> None:
    """A packed one is unpacked no further than the limit."""
    with pytest.raises(CardError) as caught:
        decode_text(chunk)
    assert caught.value.code == code


def test_damage_is_noticed() -> None:
    """Every chunk's checksum is compared, not only the card's."""
    data = bytearray(png_bytes(SOUND))
    data[data.index(b"IDAT") + 5] ^= 1
    assert refusal(bytes(data)) == "card_bad_checksum"


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a",
        png_bytes(SOUND)[:8],
        png_bytes(SOUND)[:-1],
        png_bytes(SOUND[:-1]),
        png_bytes(SOUND[1:]),
        png_bytes([*SOUND[:1], *SOUND]),
        png_bytes([(b"IHDR", b"short"), *SOUND[1:]]),
        png_bytes([chunk for chunk in SOUND if chunk[0] != b"IDAT"]),
        png_bytes([SOUND[0], (b"ab3d", b""), *SOUND[1:]]),
        png_bytes(SOUND)[:8] + b"\xff\xff\xff\xff" + png_bytes(SOUND)[12:],
    ],
)
def test_broken_pictures_are_refused(data: bytes) -> None:
    """Whatever a length says, nothing beyond the file is read."""
    assert refusal(data) == "card_bad_container"


def test_pictures_have_limits() -> None:
    """Of pixels, because a browser will show them, and of chunks."""
    for width, height in ((MAX_SIDE + 1, 1), (1, MAX_SIDE + 1), (0, 1)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        assert refusal(png_bytes([(b"IHDR", header), *SOUND[1:]])) == "card_too_large"
    many = [SOUND[0], *[(b"IDAT", b"")] * MAX_CHUNKS, *SOUND[1:]]
    assert refusal(png_bytes(many)) == "card_too_many_entries"


def test_a_drawn_picture_is_sound() -> None:
    """Its pixels are as many as it says, and its colour is the name's."""
    picture = draw_png("葵".encode(), width=8, height=4)
    assert read_png(write_png(picture)) == picture
    pixels = next(c.data for c in picture.chunks if c.kind == b"IDAT")
    assert len(zlib.decompress(pixels)) == 4 * (1 + 8 * 3)
    assert picture == draw_png("葵".encode(), width=8, height=4)
    assert picture != draw_png(b"Aoi", width=8, height=4)
