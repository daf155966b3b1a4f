"""Character cards of every version and container, made by other means than the server's own.

Each holds all known fields, unknown ones at every level, several scripts, and a book with
decorators; the same seed gives the same cards.
"""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

WORDS = (
    "harbour",
    "葵は海を見た。",
    "Øresund",
    "море",
    "\U0001f9dc\u200d♀️",
    "é",
    '"\\/\t',
    "{{user}}",
)
TEXTS = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
V2_TEXTS = (*TEXTS, "creator_notes", "system_prompt", "post_history_instructions", "creator")
NUMBERS = (0, -1, 2**53, 10**30, 0.1, 1.0, -2.5e-300, 1e22)


@dataclass(frozen=True, slots=True)
class Sample:
    """One file and what is in it.

    Attributes:
        name: Version, container and number.
        data: The file.
        raw: The card's JSON.
        files: Embedded files by path.
        pixels: The picture's own chunks, in order, without the card; empty where there is none.
    """

    name: str
    data: bytes
    raw: dict[str, Any]
    files: dict[str, bytes]
    pixels: list[tuple[bytes, bytes]]


def make_samples(seed: int, *, per_kind: int = 2) -> list[Sample]:
    """Make cards: V1, V2 and V3 as JSON, PNG and APNG, and V3 as CHARX."""
    rng = random.Random(seed)
    samples: list[Sample] = []
    for number in range(per_kind):
        for version in (1, 2, 3):
            for container in ("json", "png", "apng", "charx"):
                if container == "charx" and version < 3:
                    continue
                raw = make_raw(rng, version)
                samples.append(_put(f"v{version} {container} {number}", container, raw, rng))
    return samples


def make_raw(rng: random.Random, version: int) -> dict[str, Any]:
    """Make a card's JSON."""
    if version == 1:
        own = {name: _text(rng) for name in TEXTS if name == "name" or rng.random() < 0.9}
        return own | {"avatar": "none", "x_top": _value(rng, 3), "create_date": None}
    data: dict[str, Any] = {name: _text(rng) for name in V2_TEXTS}
    data |= {
        "alternate_greetings": [_text(rng) for _ in range(rng.randrange(4))],
        "tags": [_text(rng) for _ in range(rng.randrange(5))],
        "character_version": rng.choice(["1.0", 2, ""]),
        "extensions": {"depth_prompt": {"depth": 4}, "x/y": _value(rng, 3)},
        "character_book": _book(rng),
        "x_data": _value(rng, 3),
    }
    for name in ("scenario", "extensions", "tags", "creator_notes", "mes_example"):
        if rng.random() < 0.2:  # real cards leave things out, or say null
            data[name] = None
        elif rng.random() < 0.2:
            del data[name]
    if version == 3:
        data |= {
            "assets": [
                {"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png", "x": 1},
                {"type": "emotion", "uri": "embeded://faces/a.png", "name": "joy", "ext": "png"},
                {"type": "x_own", "uri": "https://example.com/a", "name": "", "ext": "unknown"},
            ][: rng.randrange(4)],
            "nickname": rng.choice(["", "葵"]),
            "creator_notes_multilingual": {"ja": _text(rng)},
            "source": ["https://example.com/card"],
            "group_only_greetings": [_text(rng)],
            "creation_date": 1_700_000_000,
            "modification_date": 1_700_000_000.5,
        }
    return {
        "spec": f"chara_card_v{version}",
        "spec_version": f"{version}.0" if rng.random() < 0.8 else f"{version}.7",
        "data": data,
        "x_top": _value(rng, 3),
        "name": "a copy for V1, as SillyTavern writes it",
    }


def png_of(texts: dict[str, bytes], *, animated: bool = False) -> list[tuple[bytes, bytes]]:
    """Make the chunks of a small picture.

    Args:
        texts: Contents of tEXt chunks by keyword, as they are.
        animated: Two frames, as APNG has them.
    """
    pixels = zlib.compress(b"".join(b"\0" + bytes([y * 8, 90, 120]) * 16 for y in range(16)))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))]
    if animated:
        chunks.append((b"acTL", struct.pack(">II", 2, 0)))
        chunks.append((b"fcTL", struct.pack(">IIIIIHHBB", 0, 16, 16, 0, 0, 1, 10, 0, 0)))
    chunks += [(b"tEXt", name.encode("latin-1") + b"\0" + text) for name, text in texts.items()]
    chunks += [(b"tEXt", b"Comment\0made for a test"), (b"tEXt", b"Character\0not a card")]
    chunks += [(b"teSt", b"\0\1unknown"), (b"iTXt", b"Title\0\0\0\0\0\xe8\x91\xb5")]
    chunks += [(b"IDAT", pixels[:20]), (b"IDAT", pixels[20:])]
    if animated:
        chunks.append((b"fcTL", struct.pack(">IIIIIHHBB", 1, 16, 16, 0, 0, 1, 10, 0, 0)))
        chunks.append((b"fdAT", struct.pack(">I", 2) + pixels))
    return [*chunks, (b"tIME", bytes(7)), (b"IEND", b"")]


def png_bytes(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Write chunks as a file."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        parts.append(struct.pack(">I", len(data)) + kind + data)
        parts.append(struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


def charx_of(raw: object, files: dict[str, bytes]) -> bytes:
    """Make a CHARX."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", json.dumps(raw))
        for path, data in files.items():
            archive.writestr(path, data)
    return file.getvalue()


def picture_chunks(chunks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return chunks without those that hold a card or its files."""
    own = (b"ccv3\0", b"chara\0", b"chara-ext-asset_:")
    return [(kind, data) for kind, data in chunks if not data.startswith(own)]


def _put(name: str, container: str, raw: dict[str, Any], rng: random.Random) -> Sample:
    text = json.dumps(raw, ensure_ascii=rng.random() < 0.5).encode()
    if container == "json":
        return Sample(name, text, raw, {}, [])
    files = {"faces/a.png": b"\x89PNG\r\n" + rng.randbytes(50), "顔/あ.bin": rng.randbytes(9)}
    if container == "charx":
        files |= {"module.risum": bytes(3), "x_meta/1.json": b"{}", "faces/" + "n" * 90: b""}
        return Sample(name, charx_of(raw, files), raw, files, [])
    texts = {"chara": base64.b64encode(text)}
    files = {}
    if raw.get("spec") == "chara_card_v3":
        texts = {"chara": base64.b64encode(b'{"name": "an older form"}'), "ccv3": texts["chara"]}
        files = {"0": rng.randbytes(20)}
        texts["chara-ext-asset_:0"] = base64.b64encode(files["0"])
    chunks = png_of(texts, animated=container == "apng")
    return Sample(name, png_bytes(chunks), raw, files, picture_chunks(chunks))


def _book(rng: random.Random) -> dict[str, Any]:
    return {
        "name": _text(rng),
        "scan_depth": rng.choice([4, "4", None]),
        "token_budget": 500,
        "recursive_scanning": rng.random() < 0.5,
        "extensions": {"x": _value(rng, 2)},
        "x_book": _value(rng, 2),
        "entries": [_entry(rng, index) for index in range(rng.randrange(1, 8))],
    }


def _entry(rng: random.Random, index: int) -> dict[str, Any]:
    head = rng.choice(["", "@@depth 4\n", "@@own_one 1\n@@@depth 2\n@@role user\n\n"])
    return {
        "keys": [_text(rng) for _ in range(rng.randrange(4))],
        "secondary_keys": rng.choice([[], ["a"], None]),
        "content": head + _text(rng),
        "enabled": rng.random() < 0.9,
        "insertion_order": rng.choice([index, str(index), 1.5]),
        "case_sensitive": rng.choice([True, False, None]),
        "use_regex": rng.random() < 0.2,
        "constant": rng.choice([True, False, None]),
        "priority": rng.choice([None, 3]),
        "id": rng.choice([index, f"e{index}"]),
        "comment": _text(rng),
        "position": rng.choice(["before_char", "after_char", ""]),
        "extensions": rng.choice([{}, {"x": _value(rng, 2)}]),
        "x_entry": _value(rng, 2),
    }


def _text(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 6)))


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(6 if depth else 4)
    match kind:
        case 0:
            return rng.choice(NUMBERS)
        case 1:
            return rng.choice([True, False, None])
        case 2 | 3:
            return _text(rng)
        case 4:
            return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {f"k{n} {_text(rng)}": _value(rng, depth - 1) for n in range(rng.randrange(4))}
