"""Libraries with one processor's code left."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest

from tools.gpu.slim_library import fat_binaries, slim, unpacked

PTX, CODE = 1, 2


def fat(*entries: tuple[int, int, bytes]) -> bytes:
    """A fat binary as libraries hold it."""
    body = b""
    for kind, processor, payload in entries:
        header = struct.pack("<HHIQQIIQQ", kind, 0x101, 48, len(payload), 0, 0, processor, 0, 0)
        body += header + payload
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


MIXED = fat((CODE, 80, b"eighty"), (CODE, 90, b"ninety"), (PTX, 80, b"ptx"), (CODE, 120, b"later"))


@pytest.mark.parametrize(
    ("binary", "left"),
    [
        (MIXED, {b"ninety"}),
        (fat((CODE, 80, b"eighty"), (PTX, 70, b"old"), (PTX, 80, b"newer")), {b"newer"}),
        (fat((CODE, 75, b"before"), (CODE, 120, b"later")), {b"before", b"later"}),
    ],
)
def test_what_a_processor_would_take_is_left(binary: bytes, left: set[bytes]) -> None:
    """Its machine code, or the newest PTX that its driver compiles, or all if it takes nothing."""
    library = b"\x7fELF" + binary + b"between" + MIXED
    found = slim(library, 90)
    assert len(found) == len(library)
    first, second = fat_binaries(found)
    assert {found[e.start : e.end] for e in first} - {bytes(e.end - e.start) for e in first} == left
    assert found[second[1].start : second[1].end] == b"ninety"
    assert b"between" in found


def test_what_is_no_fat_binary_is_left_as_it_is() -> None:
    """Four bytes that look like one, in the middle of something else and at the end."""
    library = b"text" + struct.pack("<I", 0xBA55ED50) + b"\x01\x02" * 40
    assert slim(library, 90) == library
    assert slim(library[:10], 90) == library[:10]


def test_a_packed_library_is_unpacked_once(tmp_path: Path) -> None:
    """One that is not packed is taken where it lies."""
    packed = tmp_path / "flash.so.xz"
    packed.write_bytes(lzma.compress(MIXED))
    library = unpacked(packed, tmp_path / "there")
    assert library == tmp_path / "there" / "flash.so"
    assert library.read_bytes() == MIXED
    assert unpacked(library, tmp_path / "elsewhere") == library
