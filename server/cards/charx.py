"""CHARX: a zip with ``card.json`` in its root, and assets (Character Card V3, "CHARX").

A zip says much about itself that need not be true. Members are read with a bound on what really
comes out, and names are refused rather than cleaned.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from server.cards.limits import (
    MAX_ZIP_BYTES,
    MAX_ZIP_MEMBERS,
    MAX_ZIP_NAME,
    MAX_ZIP_RATIO,
    RATIO_FROM,
)
from server.errors import CardError, shorten

CARD_NAME = "card.json"

_DRIVE = re.compile(r"[A-Za-z]:")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_STAMP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Charx:
    """A zip's members by name, in order; folders are not members."""

    members: Mapping[str, bytes]

    def to_bytes(self) -> bytes:
        """Write the file; the same members give the same bytes."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in self.members.items():
                archive.writestr(zipfile.ZipInfo(name, _STAMP), data, zipfile.ZIP_DEFLATED)
        return file.getvalue()


def find_zip(data: bytes) -> bool:
    """Whether a file is a zip, or a picture with a zip behind it."""
    return data.startswith(b"PK\x03\x04") or (
        data.startswith(b"\xff\xd8") and b"PK\x05\x06" in data[-65_557:]
    )


def read_charx(data: bytes, *, file: str) -> Charx:
    """Unpack a file.

    Raises:
        CardError: ``card_bad_zip``, ``card_bad_path`` or ``card_zip_bomb``.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_directory(infos, len(data), file)
            members: dict[str, bytes] = {}
            room = MAX_ZIP_BYTES
            for info in infos:
                if info.is_dir():
                    continue
                members[info.filename] = _read(archive, info, room, file)
                room -= len(members[info.filename])
    except CardError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise _bad(file, f"is a damaged zip: {shorten(str(error))}") from None
    except NotImplementedError:
        raise _bad(file, "uses a way to pack that is not read; use deflate") from None
    if CARD_NAME not in members:
        raise CardError(file, "no_data", f"is a zip without {CARD_NAME} in its root")
    return Charx(members)


def _check_directory(infos: list[zipfile.ZipInfo], num_bytes: int, file: str) -> None:
    if len(infos) > MAX_ZIP_MEMBERS:
        raise CardError(
            file,
            "zip_bomb",
            f"has {len(infos)} members, and at most {MAX_ZIP_MEMBERS} are unpacked",
        )
    seen: set[str] = set()
    for info in infos:
        _check_name(info, file)
        folded = info.filename.casefold()
        if folded in seen:
            raise CardError(
                file, "bad_path", f"has two members named {shorten(info.filename)} (or nearly so)"
            )
        seen.add(folded)
        if info.flag_bits & 0x1:
            raise _bad(file, "is encrypted")
        if info.compress_type not in _METHODS:
            raise _bad(file, "uses a way to pack that is not read; use deflate")
    packed = sum(info.compress_size for info in infos)
    if packed > num_bytes or _overlap(infos):
        raise CardError(file, "zip_bomb", "has members that share their bytes")
    unpacked = sum(info.file_size for info in infos)
    if unpacked > MAX_ZIP_BYTES:
        raise CardError(
            file,
            "zip_bomb",
            f"comes to {unpacked} bytes unpacked, and at most {MAX_ZIP_BYTES} are unpacked",
        )


def _overlap(infos: list[zipfile.ZipInfo]) -> bool:
    placed = sorted(infos, key=lambda info: info.header_offset)
    return any(
        info.header_offset + info.compress_size > behind.header_offset
        for info, behind in zip(placed, placed[1:], strict=False)
    )


def _check_name(info: zipfile.ZipInfo, file: str) -> None:
    name = info.filename
    parts = name.removesuffix("/").split("/")
    if (
        not name
        or len(name) > MAX_ZIP_NAME
        or "\\" in info.orig_filename
        or "\0" in info.orig_filename
        or _DRIVE.match(name)
        or any(part in ("", ".", "..") for part in parts)
        or any(ord(symbol) < 32 for symbol in name)
    ):
        raise CardError(
            file,
            "bad_path",
            f"has a member named {shorten(name)}; names are relative, with '/' between folders",
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise CardError(file, "bad_path", f"has a link as a member: {shorten(name)}")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, room: int, file: str) -> bytes:
    most = room
    if info.compress_size * MAX_ZIP_RATIO > RATIO_FROM:
        most = min(room, info.compress_size * MAX_ZIP_RATIO)
    else:
        most = min(room, RATIO_FROM)
    with archive.open(info) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise CardError(
            file,
            "zip_bomb",
            f"its member {shorten(info.filename)} unpacks to over {most} bytes from "
            f"{info.compress_size}",
        )
    return data


def _bad(file: str, problem: str) -> CardError:
    return CardError(file, "bad_zip", problem)
