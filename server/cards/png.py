"""PNG and APNG as a list of chunks, of which a card's are texts (PNG, third edition, §5 and §11.3).

Pixels are never decoded: what is not the card's text goes through as it came.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass

from server.cards.limits import MAX_JSON_BYTES, MAX_PNG_CHUNKS
from server.errors import CardError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES = MAX_JSON_BYTES * 4 // 3 + 1024
"""Of a text chunk that is looked at: base64 of the largest JSON."""

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk without its length and checksum."""

    kind: bytes
    data: bytes

    def keyword(self) -> str | None:
        """Of a text chunk; ``None`` for any other."""
        if self.kind not in _TEXTS:
            return None
        return self.data.partition(b"\0")[0].decode("latin-1")


@dataclass(frozen=True, slots=True)
class Png:
    """A picture."""

    chunks: tuple[Chunk, ...]

    def text(self, keyword: str, *, file: str) -> bytes | None:
        """Decode the base64 of the last text with a keyword; ``None`` if there is none.

        Raises:
            CardError: It is too large, or no base64.
        """
        found = [chunk for chunk in self.chunks if _is_named(chunk, keyword)]
        return _decode(found[-1], file) if found else None

    def texts(self, prefix: str, *, file: str) -> dict[str, bytes]:
        """Decode all texts whose keywords begin so; by what follows.

        Raises:
            CardError: One is too large, or no base64.
        """
        named = [(chunk.keyword() or "", chunk) for chunk in self.chunks]
        return {
            name[len(prefix) :]: _decode(chunk, file)
            for name, chunk in named
            if name.lower().startswith(prefix)
        }

    def with_texts(self, texts: dict[str, bytes], *, without: str | None = None) -> Png:
        """Put texts in before the picture's data, in the place of those with the same keywords.

        Args:
            texts: By keyword; ``tEXt`` holds their base64.
            without: Texts whose keywords begin so are taken out.
        """
        kept = [
            chunk
            for chunk in self.chunks
            if not any(_is_named(chunk, name) for name in texts)
            and not (without and (chunk.keyword() or "").lower().startswith(without))
        ]
        fresh = [
            Chunk(b"tEXt", name.encode("latin-1") + b"\0" + base64.b64encode(text))
            for name, text in texts.items()
        ]
        place = next((i for i, chunk in enumerate(kept) if chunk.kind == b"IDAT"), len(kept))
        return Png((*kept[:place], *fresh, *kept[place:]))

    def to_bytes(self) -> bytes:
        """Write the file."""
        parts = [SIGNATURE]
        for chunk in self.chunks:
            body = chunk.kind + chunk.data
            parts += (struct.pack(">I", len(chunk.data)), body)
            parts.append(struct.pack(">I", zlib.crc32(body)))
        return b"".join(parts)


def read_png(data: bytes, *, file: str) -> Png:
    """Take a file apart; what stands behind its end is not kept.

    Raises:
        CardError: ``card_bad_png`` or ``card_bad_checksum``.
    """
    if not data.startswith(SIGNATURE):
        raise _bad(file, "is no PNG")
    chunks: list[Chunk] = []
    place = len(SIGNATURE)
    while not chunks or chunks[-1].kind != b"IEND":
        if len(chunks) >= MAX_PNG_CHUNKS:
            raise _bad(file, f"has more than {MAX_PNG_CHUNKS} chunks")
        if place + 12 > len(data):
            raise _bad(file, "ends in the middle of a chunk")
        (length,) = struct.unpack_from(">I", data, place)
        if length > len(data) - place - 12:
            raise _bad(file, f"has a chunk of {length} bytes that reaches beyond its end")
        kind = data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        if checksum != zlib.crc32(kind + body):
            raise CardError(file, "bad_checksum", f"its chunk {kind!r} is damaged; load it anew")
        chunks.append(Chunk(kind, body))
        place += 12 + length
    if chunks[0].kind != b"IHDR" or all(chunk.kind != b"IDAT" for chunk in chunks):
        raise _bad(file, "is a PNG without a picture")
    return Png(tuple(chunks))


def plain_png(red: int, green: int, blue: int, *, width: int = 256, height: int = 384) -> Png:
    """Draw a picture for a card that has none: one colour, lighter towards the top."""
    rows = bytearray()
    for y in range(height):
        light = 1.25 - 0.5 * y / height
        pixel = bytes(min(255, int(part * light)) for part in (red, green, blue))
        rows += b"\0" + pixel * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (
        Chunk(b"IHDR", header),
        Chunk(b"IDAT", zlib.compress(bytes(rows), 9)),
        Chunk(b"IEND", b""),
    )
    return Png(chunks)


def _is_named(chunk: Chunk, keyword: str) -> bool:
    name = chunk.keyword()
    return name is not None and name.lower() == keyword


def _decode(chunk: Chunk, file: str) -> bytes:
    text = _text_of(chunk, file)
    if len(text) > MAX_TEXT_BYTES:
        raise CardError(
            file,
            "chunk_too_large",
            f"its text chunk has {len(text)} bytes, and at most {MAX_TEXT_BYTES} are read",
        )
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise CardError(file, "bad_base64", "its text chunk is no base64") from None


def _text_of(chunk: Chunk, file: str) -> bytes:
    _, _, rest = chunk.data.partition(b"\0")
    if chunk.kind == b"tEXt":
        return rest
    if chunk.kind == b"zTXt":
        return _inflate(rest[1:], file)
    is_packed, rest = rest[:1] == b"\1", rest[2:]
    _, _, rest = rest.partition(b"\0")  # the language
    _, _, text = rest.partition(b"\0")  # the keyword in that language
    return _inflate(text, file) if is_packed else text


def _inflate(data: bytes, file: str) -> bytes:
    """Unpack no more than may be read, whatever is claimed."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT_BYTES + 1)
    except zlib.error:
        raise CardError(file, "bad_png", "its compressed text is damaged") from None
    return text


def _bad(file: str, problem: str) -> CardError:
    return CardError(file, "bad_png", problem)
