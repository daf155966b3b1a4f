"""Zip files of strangers, read in memory with a hard bound (APPNOTE 6.3.10; CHARX is one).

A zip says much about itself that need not be true, and says most of it twice. Here the two must
agree, members may not share bytes, and no more is unpacked than was announced. Names are refused,
never repaired. Nothing is ever written to a disk. ZIP64 is for larger files than are taken.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from server.errors import CardError, CardErrorCode, shorten

MAX_MEMBERS = 2_000
MAX_PATH_LENGTH = 240
"""Characters of a member's name, folders counted."""
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
"""Of all members together."""
MAX_RATIO = 200
"""Unpacked to packed, of members above ``SMALL_BYTES``; text comes to 20, at most."""
SMALL_BYTES = 1024 * 1024

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_COMMENT_BYTES = 0xFFFF
_LOCATOR_BYTES = 20  # of ZIP64, right before the end record
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_PATCHED = 0x20
_SIZES_FOLLOW = 0x8
_IS_UTF8 = 0x800
_DRIVE = re.compile(r"[A-Za-z]:")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the directory says of one member."""

    path: str
    raw_name: bytes
    flags: int
    method: int
    checksum: int
    packed: int
    unpacked: int
    offset: int


def is_archive(data: bytes) -> bool:
    """Whether a file is a zip, or a picture with a zip behind it."""
    if data.startswith((b"PK\3\4", b"PK\5\6")):
        return True
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG")) and _find_end(data) is not None


def read_archive(data: bytes) -> dict[str, bytes]:
    """Unpack a file; folders are not members.

    Returns:
        Members by path, in the directory's order.

    Raises:
        CardError: ``card_zip_bomb``, ``card_bad_path``, ``card_too_many_entries``,
            ``card_unsupported``, ``card_bad_checksum`` or ``card_bad_container``.
    """
    end = _find_end(data)
    if end is None:
        raise _broken("has no directory at its end")
    entries, start, shift = _read_directory(data, end)
    _check_sizes(entries)
    spans = [(entry, *_find_data(data, entry, start, shift)) for entry in entries]
    _check_overlaps([(first, last) for _, first, _, last in spans])
    return {
        entry.path: _unpack(entry, data[body:last])
        for entry, _, body, last in spans
        if not entry.path.endswith("/")
    }


def write_archive(members: Mapping[str, bytes]) -> bytes:
    """Write a zip; the same members give the same bytes, and ``read_archive`` takes them.

    Args:
        members: By path.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, data in members.items():
            packed = zlib.compress(data, 6)
            is_worth_it = len(packed) < len(data) and not _is_bomb(len(packed), len(data))
            method = zipfile.ZIP_DEFLATED if is_worth_it else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(path, _LONG_AGO), data, method)
    return file.getvalue()


def check_path(path: str) -> None:
    """Refuse a path that leads out of its archive, or that two systems read differently.

    Raises:
        CardError: ``card_bad_path``.
    """
    parts = path.removesuffix("/").split("/")
    if (
        len(path) > MAX_PATH_LENGTH
        or "\\" in path
        or _DRIVE.match(path)
        or any(part in ("", ".", "..") or part != part.rstrip(" .") for part in parts)
        or any(unicodedata.category(symbol) in ("Cc", "Cs") for symbol in path)
    ):
        raise CardError(
            CardErrorCode.BAD_PATH,
            f"the path must be relative, with '/' between folders, without '..' and at most "
            f"{MAX_PATH_LENGTH} characters long",
            key=shorten(path),
        )


def fold_path(path: str) -> str:
    """Return what two paths have in common that some file systems take for one."""
    return unicodedata.normalize("NFC", path).casefold().removesuffix("/")


def _find_end(data: bytes) -> int | None:
    """Find the end record: the last one whose comment reaches to the end of the file."""
    first = max(0, len(data) - _END.size - _MAX_COMMENT_BYTES)
    place = data.rfind(b"PK\5\6", first)
    while place >= 0:
        if place + _END.size <= len(data):
            comment = _END.unpack_from(data, place)[-1]
            if place + _END.size + comment == len(data):
                return place
        place = data.rfind(b"PK\5\6", first, place)
    return None


def _read_directory(data: bytes, end: int) -> tuple[list[_Entry], int, int]:
    """Read all entries; return them, the directory's place, and how far the zip is moved."""
    _, disk, first_disk, here, count, size, offset, _ = _END.unpack_from(data, end)
    locator = data[max(0, end - _LOCATOR_BYTES) : end]
    if locator.startswith(b"PK\6\7") or 0xFFFF in (here, count) or 0xFFFFFFFF in (size, offset):
        raise _unsupported("is a ZIP64; files that small need none, pack it without")
    if disk or first_disk or here != count:
        raise _unsupported("is one of several parts; join them")
    if count > MAX_MEMBERS:
        raise CardError(
            CardErrorCode.TOO_MANY_ENTRIES,
            f"the zip has {count} members, and the limit is {MAX_MEMBERS}; leave some out",
        )
    start = end - size
    shift = start - offset
    if start < 0 or shift < 0:
        raise _broken("says that its directory is where it is not")
    entries: list[_Entry] = []
    seen: set[str] = set()
    place = start
    for _ in range(count):
        entry, place = _read_entry(data, place, end)
        folded = fold_path(entry.path)
        if folded in seen:
            raise CardError(
                CardErrorCode.BAD_PATH,
                "two members have this path, or paths that differ by case only; rename one",
                key=shorten(entry.path),
            )
        seen.add(folded)
        entries.append(entry)
    if place != end:
        raise _broken(f"has a directory of another size than its {count} members")
    return entries, start, shift


def _read_entry(data: bytes, place: int, end: int) -> tuple[_Entry, int]:
    if place + _ENTRY.size > end or not data.startswith(b"PK\1\2", place):
        raise _broken("has a directory that breaks off")
    fields = _ENTRY.unpack_from(data, place)
    flags, method = fields[3], fields[4]
    checksum, packed, unpacked, name_length, extra, comment = fields[7:13]
    attributes, offset = fields[15], fields[16]
    name_at = place + _ENTRY.size
    behind = name_at + name_length + extra + comment
    if behind > end:
        raise _broken("has a directory that breaks off")
    raw_name = data[name_at : name_at + name_length]
    path = _decode_name(raw_name, flags)
    check_path(path)
    mode = stat.S_IFMT(attributes >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise CardError(
            CardErrorCode.BAD_PATH,
            "the member is a link or a device; pack the file itself",
            key=shorten(path),
        )
    if flags & _ENCRYPTED:
        raise _unsupported("is encrypted; pack it without a password")
    if flags & _PATCHED or method not in (_STORED, _DEFLATED):
        raise _unsupported(f"is packed by method {method}; pack it by deflate")
    if 0xFFFFFFFF in (packed, unpacked, offset):
        raise _unsupported("is a ZIP64; files that small need none, pack it without")
    return _Entry(path, raw_name, flags, method, checksum, packed, unpacked, offset), behind


def _decode_name(raw_name: bytes, flags: int) -> str:
    """Decode a name; many programs write UTF-8 without saying so."""
    try:
        return raw_name.decode()
    except UnicodeDecodeError:
        if flags & _IS_UTF8:
            raise CardError(
                CardErrorCode.BAD_PATH, f"a member's name is not UTF-8: {shorten(raw_name)}"
            ) from None
        return raw_name.decode("cp437")


def _check_sizes(entries: list[_Entry]) -> None:
    total = sum(entry.unpacked for entry in entries)
    if total > MAX_UNPACKED_BYTES:
        raise _bomb(f"the zip unpacks to {total} bytes, and the limit is {MAX_UNPACKED_BYTES}")
    for entry in entries:
        if _is_bomb(entry.packed, entry.unpacked):
            raise _bomb(
                f"{entry.packed} bytes unpack to {entry.unpacked}, "
                f"and the limit is {MAX_RATIO} times",
                entry,
            )
        if entry.method == _STORED and entry.packed != entry.unpacked:
            raise _bomb("the member is not packed and yet has two sizes", entry)


def _find_data(data: bytes, entry: _Entry, start: int, shift: int) -> tuple[int, int, int]:
    """Check a member's own header; return where it, its bytes, and what is behind them begin."""
    first = entry.offset + shift
    if first + _LOCAL.size > start or not data.startswith(b"PK\3\4", first):
        raise _broken("has a member where its directory does not say", entry)
    _, _, flags, method, _, _, checksum, packed, unpacked, name_length, extra = _LOCAL.unpack_from(
        data, first
    )
    name_at = first + _LOCAL.size
    body = name_at + name_length + extra
    last = body + entry.packed
    if last > start:
        raise _broken("has a member that reaches into its directory", entry)
    if data[name_at : name_at + name_length] != entry.raw_name or method != entry.method:
        raise _broken("names a member in two ways", entry)
    told = (checksum, packed, unpacked)
    if not flags & _SIZES_FOLLOW and told != (entry.checksum, entry.packed, entry.unpacked):
        raise _bomb("the member's two headers tell different sizes", entry)
    return first, body, last


def _check_overlaps(spans: list[tuple[int, int]]) -> None:
    reached = 0
    for first, last in sorted(spans):
        if first < reached:
            raise _bomb("members share their bytes")
        reached = last


def _unpack(entry: _Entry, packed: bytes) -> bytes:
    if entry.method == _STORED:
        data = packed
    else:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = unpacker.decompress(packed, entry.unpacked + 1)
        except zlib.error:
            raise _broken("has a member that is damaged", entry) from None
        if len(data) > entry.unpacked:
            raise _bomb(f"the member unpacks to more than its {entry.unpacked} bytes", entry)
        if not unpacker.eof or unpacker.unused_data or len(data) < entry.unpacked:
            raise _broken("has a member that breaks off", entry)
    if zlib.crc32(data) != entry.checksum:
        raise CardError(
            CardErrorCode.BAD_CHECKSUM,
            "the member's checksum does not fit; the file was damaged, load it again",
            key=shorten(entry.path),
        )
    return data


def _is_bomb(packed: int, unpacked: int) -> bool:
    return unpacked > SMALL_BYTES and unpacked > packed * MAX_RATIO


def _bomb(problem: str, entry: _Entry | None = None) -> CardError:
    key = shorten(entry.path) if entry else None
    return CardError(CardErrorCode.ZIP_BOMB, f"{problem}; pack the card anew", key=key)


def _broken(problem: str, entry: _Entry | None = None) -> CardError:
    key = shorten(entry.path) if entry else None
    return CardError(CardErrorCode.BAD_CONTAINER, f"the zip {problem}; pack it anew", key=key)


def _unsupported(problem: str) -> CardError:
    return CardError(CardErrorCode.UNSUPPORTED, f"the zip {problem}")
