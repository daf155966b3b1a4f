"""A card's portrait as a browser may be given it: a picture and nothing else.

A card's PNG holds the whole card, prompt and all, so only what makes up the picture is passed on.
What a file claims to be is not asked: its first bytes say it. Sizes are read without decoding, as
a small file can unpack to more pixels than a browser's memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from server.cards.assets import portrait
from server.cards.card import Card
from server.cards.png import SIGNATURE, Png, read_png, write_png
from server.errors import CardError

MAX_PICTURE_BYTES = 8 * 1024 * 1024
MAX_SIDE = 4096
"""Pixels, of either side."""

_PNG_CHUNKS = frozenset(
    (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs", b"IDAT")
    + (b"acTL", b"fcTL", b"fdAT", b"IEND")
)
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file."""

    media_type: str
    content: bytes


def picture_of(card: Card) -> Picture | None:
    """Find the portrait; ``None`` where there is none, or none that can be shown."""
    content = _without_texts(portrait(card) or b"")
    media_type, size = look_at(content)
    if not media_type or len(content) > MAX_PICTURE_BYTES or not _fits(size):
        return None
    return Picture(media_type, content)


def look_at(content: bytes) -> tuple[str, tuple[int, int]]:
    """Tell a picture's media type, and its width and height in pixels.

    Returns:
        An empty type for what is neither PNG, JPEG nor WebP; 0 for sizes that are not told.
    """
    try:
        if content.startswith(SIGNATURE):
            return "image/png", struct.unpack_from(">II", content, 16)
        if content.startswith(b"\xff\xd8\xff"):
            return "image/jpeg", _jpeg_size(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return "image/webp", _webp_size(content)
    except (struct.error, IndexError):
        pass
    return "", (0, 0)


def _without_texts(content: bytes) -> bytes:
    """A PNG without all that is no part of the picture; any other file as it is."""
    if not content.startswith(SIGNATURE):
        return content
    try:
        chunks = read_png(content).chunks
    except CardError:
        return b""
    return write_png(Png(tuple(one for one in chunks if one.kind in _PNG_CHUNKS)))


def _fits(size: tuple[int, int]) -> bool:
    return all(0 < side <= MAX_SIDE for side in size)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Walk the markers to the frame's header (ITU-T T.81, B.1.1 and B.2.2)."""
    place = 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # fill
            place += 1
        elif marker in _JPEG_BARE:
            place += 2
        elif marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", content, place + 5)
            return width, height
        else:
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    return 0, 0


def _webp_size(content: bytes) -> tuple[int, int]:
    """Read the first chunk (RFC 9649, 2.5 to 2.7)."""
    kind = content[12:16]
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(content[24:27], "little"),
            1 + int.from_bytes(content[27:30], "little"),
        )
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", content, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0
