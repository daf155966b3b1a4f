"""Makes a CUDA library small enough to be brought along: one processor's machine code, compressed.

A library holds fat binaries, each with machine code for several processors and perhaps PTX, which
drivers compile for newer ones. What a processor would not take is overwritten with zeros, which
take no room once compressed; nothing moves, so the library stays one.

The layout (a header of 16 bytes, then entries with headers of their own) is nowhere documented; it
was read out of libraries of CUDA 12 and 13, and what does not fit it is left as it is.
"""

from __future__ import annotations

import argparse
import lzma
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAGIC = struct.pack("<I", 0xBA55ED50)
_HEADER = struct.Struct("<IHHQ")
"""Magic, version, length of this header, length of all entries."""
_ENTRY = struct.Struct("<HHIQ")
"""Kind, version, length of this header, length of the payload."""
_PROCESSOR = struct.Struct("<I")
_PROCESSOR_AT = 28
_PTX, _MACHINE_CODE = 1, 2


@dataclass(frozen=True, slots=True)
class Entry:
    """Code for one processor.

    Attributes:
        kind: PTX or machine code.
        processor: Its compute capability, times ten.
        start: Of the payload, in the library.
        end: Of the payload.
    """

    kind: int
    processor: int
    start: int
    end: int


def slim(library: bytes, processor: int) -> bytes:
    """Return a library as large as before in which only what a processor takes is left.

    Args:
        library: Its bytes.
        processor: Compute capability, times ten.
    """
    slimmed = bytearray(library)
    for entries in fat_binaries(library):
        kept = _kept(entries, processor)
        for entry in entries:
            if entry not in kept:
                slimmed[entry.start : entry.end] = bytes(entry.end - entry.start)
    return bytes(slimmed)


def _kept(entries: list[Entry], processor: int) -> list[Entry]:
    """Machine code of the processor; if there is none, what its driver would take instead.

    Machine code runs on later processors of its generation, PTX on all later ones.
    """
    for kind, oldest in ((_MACHINE_CODE, processor // 10 * 10), (_PTX, 0)):
        fit = [e for e in entries if e.kind == kind and oldest <= e.processor <= processor]
        if fit:
            newest = max(entry.processor for entry in fit)
            return [entry for entry in fit if entry.processor == newest]
    return entries


def fat_binaries(library: bytes) -> Iterator[list[Entry]]:
    """Return the entries of each fat binary of a library."""
    place = library.find(_MAGIC)
    while place >= 0:
        end = place + len(_MAGIC)
        if place + _HEADER.size <= len(library):
            _, _, header, length = _HEADER.unpack_from(library, place)
            entries = _entries(library, place + header, place + header + length)
            if header == _HEADER.size and entries:
                yield entries
                end = place + header + length
        place = library.find(_MAGIC, end)


def _entries(library: bytes, place: int, end: int) -> list[Entry]:
    """Return entries that fill a stretch; none if they do not."""
    found = []
    while place + _PROCESSOR_AT + _PROCESSOR.size <= end <= len(library):
        kind, _, header, length = _ENTRY.unpack_from(library, place)
        (processor,) = _PROCESSOR.unpack_from(library, place + _PROCESSOR_AT)
        found.append(Entry(kind, processor, place + header, place + header + length))
        place = found[-1].end
        if header == 0:
            return []
    return found if place == end else []


def unpacked(library: Path, folder: Path) -> Path:
    """Return a library that can be loaded: itself, or what a packed one is unpacked to."""
    if library.suffix != ".xz":
        return library
    target = folder / library.stem
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        target.write_bytes(lzma.decompress(library.read_bytes()))
    return target


def main() -> None:
    """Write a library, slim and packed."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu.slim_library", description=__doc__)
    parser.add_argument("library", type=Path)
    parser.add_argument("packed", type=Path, help="what to write, ending in .xz")
    parser.add_argument("--processor", type=int, default=90, help="(%(default)s)")
    options = parser.parse_args()
    slimmed = slim(options.library.read_bytes(), options.processor)
    options.packed.write_bytes(lzma.compress(slimmed, preset=2))
    before, after = options.library.stat().st_size, options.packed.stat().st_size
    print(f"{options.packed}: {after / 1e6:.1f} MB of {before / 1e6:.1f}")


if __name__ == "__main__":
    main()
