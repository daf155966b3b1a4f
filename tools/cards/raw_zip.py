"""Writes zips byte by byte, so that every statement in them can be false."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """One member; what is ``None`` is told as it is.

    Attributes:
        name: In the directory.
        data: Unpacked.
        deflate: Whether it is packed.
        method: Told instead of the true one.
        flags: Told.
        mode: A Unix file's mode.
        crc: Told checksum.
        told_size: Told unpacked size.
        told_packed: Told packed size.
        local_size: Told unpacked size in its own header.
        local_name: Name in its own header.
        follows: Its own header tells no sizes.
        at: Nothing is written; the directory points there, ``-1`` into the member before.
    """

    name: str
    data: bytes
    deflate: bool = False
    method: int | None = None
    flags: int = 0
    mode: int = 0
    crc: int | None = None
    told_size: int | None = None
    told_packed: int | None = None
    local_size: int | None = None
    local_name: str | None = None
    follows: bool = False
    at: int | None = None


def raw_zip(
    members: list[Member],
    *,
    told_count: int | None = None,
    shift: int = 0,
    disk: int = 0,
    before_end: bytes = b"",
) -> bytes:
    """Write a zip.

    Args:
        members: In order.
        told_count: Members that the end record tells.
        shift: Added to the directory's told place.
        disk: Number of this part.
        before_end: Put before the end record.
    """
    body, directory = bytearray(), bytearray()
    last_at = 0
    for member in members:
        at = len(body) if member.at is None else member.at
        packed = _pack(member)
        size = len(member.data) if member.told_size is None else member.told_size
        told = len(packed) if member.told_packed is None else member.told_packed
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        method = (8 if member.deflate else 0) if member.method is None else member.method
        flags = member.flags | 0x800 | (8 if member.follows else 0)
        name = member.name.encode()
        if member.at is None:
            local = (member.local_name or member.name).encode()
            local_size = size if member.local_size is None else member.local_size
            sizes = (0, 0, 0) if member.follows else (crc, told, local_size)
            body += struct.pack(
                "<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 0, *sizes, len(local), 0
            )
            body += local + packed
        elif at < 0:
            # a member of the same name within the last one's bytes
            at = last_at + 60
            inner = struct.pack(
                "<4s5H3L2H", b"PK\3\4", 20, flags, 0, 0, 0, crc, told, size, len(name), 0
            )
            body[at : at + len(inner) + len(name)] = inner + name
        last_at = at
        entry = (20, 20, flags, method, 0, 0, crc, told, size, len(name), 0, 0, 0, 0)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", *entry, member.mode << 16, at) + name
    count = len(members) if told_count is None else told_count
    end = (disk, 0, count, count, len(directory), len(body) + shift, 0)
    return bytes(body + directory) + before_end + struct.pack("<4s4H2LH", b"PK\5\6", *end)


def _pack(member: Member) -> bytes:
    if not member.deflate:
        return member.data
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(member.data) + packer.flush()
