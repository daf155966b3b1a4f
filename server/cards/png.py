"""PNG and APNG as lists of chunks; pixels are never decoded (PNG, third edition, §5 and §11.3).

A card is the base64 of JSON in a text chunk: ``ccv3`` for V3, ``chara`` for V1 and V2. All other
chunks go through untouched and in their order, so an animation stays one. What stands behind the
picture's end is not part of it and is not kept.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from server.cards.json_text import MAX_JSON_BYTES
from server.errors import CardError, CardErrorCode, shorten

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 20_000
MAX_SIDE = 16_384
"""Pixels of width or height: a browser that shows the picture has to hold them all."""
MAX_TEXT_BYTES = MAX_JSON_BYTES // 3 * 4 + 4_096
"""Of a text that is decoded: the base64 of the largest JSON, and some line ends."""
MAX_KEYWORD_BYTES = 79
"""Of a text's keyword, as PNG has it."""

_HEADER = struct.Struct(">II")
_TEXT_KINDS = (b"tEXt", b"zTXt", b"iTXt")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk without its length and checksum.

    Attributes:
        kind: Four letters.
        data: What is in it.
    """

    kind: bytes
    data: bytes

    @property
    def keyword(self) -> str:
        """Of a text chunk; empty for any other."""
        if self.kind not in _TEXT_KINDS:
            return ""
        return self.data[: MAX_KEYWORD_BYTES + 1].partition(b"\0")[0].decode("latin-1")


@dataclass(frozen=True, slots=True)
class Png:
    """A picture, whole.

    Attributes:
        chunks: From IHDR to IEND.
    """

    chunks: tuple[Chunk, ...]

    @property
    def is_animated(self) -> bool:
        """Whether it is an APNG."""
        return any(chunk.kind == b"acTL" for chunk in self.chunks)

    def find(self, keyword: str) -> Chunk | None:
        """Return the first text with a keyword, in either case, as SillyTavern finds it."""
        return next((c for c in self.chunks if c.keyword.lower() == keyword), None)

    def without(self, keywords: tuple[str, ...], *, prefix: str) -> Png:
        """Return the picture without some of its texts.

        Args:
            keywords: Theirs, in lower case.
            prefix: Or what theirs begin with, in lower case.
        """
        return Png(
            tuple(
                chunk
                for chunk in self.chunks
                if not (name := chunk.keyword.lower())
                or not (name in keywords or name.startswith(prefix))
            )
        )

    def with_texts(self, texts: Mapping[str, bytes]) -> Png:
        """Return the picture with base64 texts before its end.

        Args:
            texts: What is encoded, by keyword; each at most ``MAX_KEYWORD_BYTES`` of Latin-1.
        """
        made = tuple(
            Chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + base64.b64encode(data))
            for keyword, data in texts.items()
        )
        return Png((*self.chunks[:-1], *made, self.chunks[-1]))


def read_png(data: bytes) -> Png:
    """Take a file apart and check each chunk's checksum.

    Raises:
        CardError: ``card_bad_container``, ``card_bad_checksum``, ``card_too_large`` or
            ``card_too_many_entries``.
    """
    chunks = tuple(_walk(data))
    kinds = [chunk.kind for chunk in chunks]
    if kinds[0] != b"IHDR" or len(chunks[0].data) != 13 or kinds.count(b"IHDR") > 1:
        raise _broken("does not begin with one header")
    if b"IDAT" not in kinds:
        raise _broken("has no picture in it")
    sides = _HEADER.unpack_from(chunks[0].data)
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise CardError(
            CardErrorCode.TOO_LARGE,
            f"the picture is {sides[0]} by {sides[1]} pixels, and a side may be 1 to {MAX_SIDE}; "
            "make it smaller",
        )
    return Png(chunks)


def write_png(png: Png) -> bytes:
    """Write a file; chunks come out as they were read."""
    parts = [SIGNATURE]
    for chunk in png.chunks:
        parts.append(struct.pack(">I", len(chunk.data)) + chunk.kind)
        parts.append(chunk.data)
        parts.append(struct.pack(">I", zlib.crc32(chunk.data, zlib.crc32(chunk.kind))))
    return b"".join(parts)


def decode_text(chunk: Chunk) -> bytes:
    """Decode the base64 in a text chunk; blanks in it and missing padding are forgiven.

    Raises:
        CardError: ``card_chunk_too_large``, ``card_bad_base64`` or ``card_bad_container``.
    """
    text = _unpack_text(chunk)
    if len(text) > MAX_TEXT_BYTES:
        raise _too_large(chunk)
    text = text.translate(None, delete=b" \t\r\n")
    text += b"=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise CardError(
            CardErrorCode.BAD_BASE64,
            f"the text is not base64: {error}; export the card again",
            key=shorten(chunk.keyword),
        ) from None


def draw_png(seed: bytes, *, width: int = 384, height: int = 576) -> Png:
    """Draw a picture for a card that has none: a soft gradient in a colour of its own.

    Args:
        seed: Decides the colour; the card's name.
        width: In pixels.
        height: In pixels.
    """
    shade = zlib.crc32(seed)
    colour = [96 + (shade >> shift) % 96 for shift in (0, 8, 16)]
    rows = bytearray()
    for y in range(height):
        light = 1.3 - 0.6 * y / height
        rows += b"\0" + bytes(min(255, round(part * light)) for part in colour) * width
    header = _HEADER.pack(width, height) + bytes((8, 2, 0, 0, 0))  # 8 bits of red, green and blue
    return Png(
        (
            Chunk(b"IHDR", header),
            Chunk(b"IDAT", zlib.compress(bytes(rows), 9)),
            Chunk(b"IEND", b""),
        )
    )


def _walk(data: bytes) -> Iterable[Chunk]:
    if not data.startswith(SIGNATURE):
        raise _broken("does not begin as a PNG does")
    place = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if place + 12 > len(data):
            raise _broken("ends before its last chunk")
        (length,) = struct.unpack_from(">I", data, place)
        if length > len(data) - place - 12:
            raise _broken(f"says that a chunk of {length} bytes follows, and ends before")
        kind = data[place + 4 : place + 8]
        if not kind.isalpha() or not kind.isascii():
            raise _broken(f"has a chunk of the kind {shorten(kind)}")
        body = data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        if checksum != zlib.crc32(body, zlib.crc32(kind)):
            raise CardError(
                CardErrorCode.BAD_CHECKSUM,
                "the chunk's checksum does not fit; the file was damaged, load it again",
                key=kind.decode(),
            )
        yield Chunk(kind, body)
        if kind == b"IEND":
            return
        place += 12 + length
    raise CardError(
        CardErrorCode.TOO_MANY_ENTRIES,
        f"the picture has more than {MAX_CHUNKS} chunks; save it with larger ones",
    )


def _unpack_text(chunk: Chunk) -> bytes:
    """Return the text of any of the three kinds, unpacked no further than the limit."""
    rest = chunk.data.partition(b"\0")[2]
    if chunk.kind == b"tEXt":
        return rest
    if chunk.kind == b"zTXt":
        return _inflate(chunk, rest[1:])
    is_packed = rest[:1] == b"\1"
    language_on = rest[2:].partition(b"\0")[2]
    text = language_on.partition(b"\0")[2]  # behind the keyword in that language
    return _inflate(chunk, text) if is_packed else text


def _inflate(chunk: Chunk, data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT_BYTES + 1)
    except zlib.error:
        raise _broken(f"has a packed text {shorten(chunk.keyword)} that is damaged") from None
    if len(text) > MAX_TEXT_BYTES:
        raise _too_large(chunk)
    return text


def _too_large(chunk: Chunk) -> CardError:
    return CardError(
        CardErrorCode.CHUNK_TOO_LARGE,
        f"the text is larger than {MAX_TEXT_BYTES} bytes; take pictures or lore out of the card",
        key=shorten(chunk.keyword),
    )


def _broken(problem: str) -> CardError:
    return CardError(CardErrorCode.BAD_CONTAINER, f"the picture {problem}; load or export it again")
