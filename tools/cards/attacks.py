"""Hostile cards by class: what each does, and the code by which it should be refused."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from server.cards.archive import MAX_MEMBERS
from server.cards.card import MAX_ASSETS
from server.cards.fields import MAX_LIST_LENGTH, MAX_TEXT_LENGTH
from server.cards.json_text import MAX_JSON_BYTES, MAX_VALUES
from server.cards.lorebook import MAX_DECORATORS, MAX_ENTRIES, MAX_KEY_LENGTH, MAX_KEYS
from server.cards.png import MAX_CHUNKS, MAX_SIDE, MAX_TEXT_BYTES
from server.cards.read import MAX_FILE_BYTES
from tools.cards import zip_attacks
from tools.cards.material import (
    CARD,
    MIB,
    PLAIN,
    V3,
    Table,
    b64,
    card,
    carrying,
    dump,
    in_entry,
    png,
)
from tools.cards.raw_zip import Member, raw_zip
from tools.cards.samples import charx_of, png_bytes, png_of


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile file.

    Attributes:
        kind: Its class.
        name: What it does.
        code: Of the refusal.
        make: Makes the file; large ones only when they are wanted.
    """

    kind: str
    name: str
    code: str
    make: Callable[[], bytes]


def attacks() -> Iterator[Attack]:
    """All attacks, class by class."""
    for kind, table in (
        ("zip bomb", zip_attacks.zip_bombs()),
        ("zip member's path", zip_attacks.paths()),
        ("zip that is not read", zip_attacks.foreign_zips()),
        ("broken zip", zip_attacks.broken_zips()),
        ("text chunk", _text_chunks()),
        ("broken picture", _broken_pictures()),
        ("base64", _base64()),
        ("JSON", _json()),
        ("depth", _depth()),
        ("field of a wrong type", _fields()),
        ("too many or too long", _sizes()),
        ("false luggage", _luggage()),
        ("no card", _no_cards()),
    ):
        for name, (code, make) in table.items():
            yield Attack(kind, name, code, make)


def _text_chunks() -> Table:
    code = "card_chunk_too_large"
    packed = zlib.compress(bytes(MAX_TEXT_BYTES + 9), 9)
    bomb = zlib.compress(bytes(200 * MIB), 9)
    return {
        "giant": (code, lambda: png({"ccv3": b"A" * (MAX_TEXT_BYTES + 1)})),
        "zTXt bomb": (code, lambda: png({}, b"ccv3\0\0" + packed, kind=b"zTXt")),
        "zTXt bomb of 200 MiB": (code, lambda: png({}, b"chara\0\0" + bomb, kind=b"zTXt")),
        "iTXt bomb": (code, lambda: png({}, b"ccv3\0\1\0\0\0" + packed, kind=b"iTXt")),
        "damaged zTXt": (
            "card_bad_container",
            lambda: png({}, b"ccv3\0\0" + b"x" * 99, kind=b"zTXt"),
        ),
    }


def _broken_pictures() -> Table:
    code = "card_bad_container"
    chunks = png_of({"ccv3": b64(CARD)})
    sound = png_bytes(chunks)
    lies = bytearray(sound)
    lies[8:12] = b"\xff\xff\xff\xff"
    flipped = bytearray(sound)
    flipped[80] ^= 1
    wide = struct.pack(">IIBBBBB", MAX_SIDE + 1, 1, 8, 2, 0, 0, 0)
    flat = struct.pack(">IIBBBBB", 0, 1, 8, 2, 0, 0, 0)
    return {
        "length beyond the file": (code, lambda: bytes(lies)),
        "cut": (code, lambda: sound[: len(sound) // 2]),
        "no end": (code, lambda: png_bytes(chunks[:-1])),
        "nothing but a signature": (code, lambda: sound[:8]),
        "no header": (code, lambda: png_bytes(chunks[1:])),
        "two headers": (code, lambda: png_bytes([chunks[0], *chunks])),
        "no pixels": (code, lambda: png_bytes([c for c in chunks if c[0] != b"IDAT"])),
        "kind": (code, lambda: png_bytes([*chunks[:1], (b"\0\0\0\0", b""), *chunks[1:]])),
        "checksum": ("card_bad_checksum", lambda: bytes(flipped)),
        "too wide": ("card_too_large", lambda: png_bytes([(b"IHDR", wide), *chunks[1:]])),
        "of no width": ("card_too_large", lambda: png_bytes([(b"IHDR", flat), *chunks[1:]])),
        "too many chunks": (
            "card_too_many_entries",
            lambda: png_bytes([chunks[0], *[(b"IDAT", b"")] * MAX_CHUNKS, *chunks[1:]]),
        ),
    }


def _base64() -> Table:
    code = "card_bad_base64"
    return {
        "garbage": (code, lambda: png({"ccv3": b"!!!! not base64"})),
        "JSON as it is": (code, lambda: png({"ccv3": CARD})),
        "bytes": (code, lambda: png({"chara": bytes(range(128, 256))})),
        "padding in the middle": (code, lambda: png({"ccv3": b"eyJ=9" + b64(CARD)})),
        "one letter": (code, lambda: png({"ccv3": b"A"})),
        "of an embedded file": (
            code,
            lambda: png({"ccv3": b64(CARD)}, b"chara-ext-asset_:a\0???"),
        ),
        "nothing": ("card_bad_json", lambda: png({"ccv3": b""})),
    }


def _json() -> Table:
    code = "card_bad_json"
    texts: dict[str, bytes] = {
        "cut": CARD[:-5],
        "a rest": CARD + b" x",
        "two objects": CARD + CARD,
        "comment": b'{"name": "a" /* b */}',
        "a comma too many": b'{"name": "a",}',
        "single quotes": b"{'name': 'a'}",
        "a key twice": b'{"name": "a", "name": "b"}',
        "a key twice, deep down": b'{"name": "a", "x": [{"y": 1, "y": 2}]}',
        "a key twice, escaped": b'{"name": "a", "n\\u0061me": "b"}',
        "NaN": b'{"name": "a", "x": NaN}',
        "Infinity": b'{"name": "a", "x": -Infinity}',
        "1e999": b'{"name": "a", "x": 1e999}',
        "a long number": b'{"name": "a", "x": ' + b"9" * 5000 + b"}",
        "half a character": b'{"name": "a\\ud800"}',
        "half a character in a key": b'{"name": "a", "\\udc00": 1}',
        "halves in the wrong order": b'{"name": "\\udc00\\ud800"}',
        "not UTF-8": b'{"name": "\xff"}',
        "half a character as bytes": b'{"name": "\xed\xa0\x80"}',
        "a raw line end": b'{"name": "a\nb"}',
        "a list": b'{"x": 1}]',
    }
    return {name: (code, lambda text=text: text) for name, text in texts.items()}  # type: ignore[misc]


def _depth() -> Table:
    code = "card_too_deep"
    head = b'{"name": "a", "x": '
    return {
        "lists": (code, lambda: head + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        "objects": (code, lambda: head + b'{"a":' * 100_000 + b"1" + b"}" * 100_001),
        "never closed": (code, lambda: head + b"[" * 200_000),
        "just too deep": (code, lambda: head + b"[" * 64 + b"]" * 64 + b"}"),
        "in a picture": (code, lambda: png({"ccv3": b64(head + b"[" * 99_999)})),
        "in a CHARX": (code, lambda: raw_zip([Member("card.json", head + b"[" * 99_999)])),
        "beyond count": ("card_too_many_entries", lambda: head + b"[" * 3_000_000),
        "behind a string of brackets": (
            code,
            lambda: b'{"name": "\\"]]]]' + b'", "x":' + b"[" * 99,
        ),
    }


def _fields() -> Table:
    values: dict[str, dict[str, Any]] = {
        "name is a list": {"name": ["a"]},
        "name is empty": {"name": "  "},
        "name is null": {"name": None},
        "description is an object": {"description": {}},
        "system_prompt is true": {"system_prompt": True},
        "tags is an object": {"tags": {"a": 1}},
        "alternate_greetings is a number": {"alternate_greetings": 7},
        "a greeting is a list": {"alternate_greetings": [["a"]]},
        "extensions is text": {"extensions": "a"},
        "character_book is a list": {"character_book": [1]},
        "entries is text": {"character_book": {"entries": "a"}},
        "an entry is a number": {"character_book": {"entries": [1]}},
        "keys is an object": in_entry(keys={"a": 1}),
        "a key is a list": in_entry(keys=[["a"]]),
        "content is a list": in_entry(content=["a"]),
        "enabled is a list": in_entry(enabled=[]),
        "insertion_order is words": in_entry(insertion_order="first"),
        "insertion_order is huge": in_entry(insertion_order=10**39),
        "priority is an object": in_entry(priority={}),
        "scan_depth is a list": {"character_book": {"scan_depth": [4], "entries": []}},
        "token_budget is huge": {"character_book": {"token_budget": 1e300}},
        "assets is text": {"assets": "a"},
        "an asset is text": {"assets": ["a"]},
        "a uri is a number": {"assets": [{"uri": 1}]},
    }
    table: Table = {
        name: ("card_bad_field", lambda data=data: card(**data))  # type: ignore[misc]
        for name, data in values.items()
    }
    return table | {
        "data is a list": ("card_bad_field", lambda: dump({**V3, "data": []})),
        "data is missing": ("card_bad_field", lambda: dump({"spec": "chara_card_v2"})),
    }


def _sizes() -> Table:
    large, many = "card_too_large", "card_too_many_entries"
    return {
        "file": (large, lambda: b"{" + b" " * MAX_FILE_BYTES),
        "JSON": (large, lambda: CARD[:-1] + b" " * MAX_JSON_BYTES + b"}"),
        "JSON in a CHARX": (large, lambda: charx_of({**V3, "x": _noise()}, {})),
        "description": (large, lambda: card(description="a" * (MAX_TEXT_LENGTH + 1))),
        "a key": ("card_bad_field", lambda: card(**in_entry(keys=["a" * (MAX_KEY_LENGTH + 1)]))),
        "a regular expression": (
            "card_bad_field",
            lambda: card(**in_entry(use_regex=True, keys=["(a+)+" * MAX_KEY_LENGTH])),
        ),
        "keys": (many, lambda: card(**in_entry(keys=["a"] * (MAX_KEYS + 1)))),
        "entries": (many, lambda: card(character_book={"entries": [{}] * (MAX_ENTRIES + 1)})),
        "decorators": (
            many,
            lambda: card(**in_entry(content="@@depth 4\n" * (MAX_DECORATORS + 1))),
        ),
        "tags": (many, lambda: card(tags=["a"] * (MAX_LIST_LENGTH + 1))),
        "greetings": (many, lambda: card(alternate_greetings=["a"] * (MAX_LIST_LENGTH + 1))),
        "assets": (many, lambda: card(assets=[{}] * (MAX_ASSETS + 1))),
        "values": (many, lambda: card(x=[0] * MAX_VALUES)),
    }


def _luggage() -> Table:
    code = "card_bad_field"
    was = {"version": 3, "top": {}, "data": {}, "added": []}
    packed: dict[str, tuple[str, Any]] = {
        "is text": (code, "a"),
        "was is a list": (code, {"was": []}),
        "nothing that was": (code, {"was": {}}),
        "added is text": (code, {"was": {**was, "added": "name"}}),
        "top is no card": ("card_no_data", {"was": {**was, "top": {"spec": "lorebook_v3"}}}),
        "extensions of two": (code, {"extensions": [1, 2]}),
        "packed twice": (code, {"extensions": [{"kaiwa_card": {}}]}),
        "files is a list": (code, {"files": []}),
        "a file is a number": ("card_bad_base64", {"files": {"a": 1}}),
        "a file is no base64": ("card_bad_base64", {"files": {"a": "???"}}),
        "picture is no base64": ("card_bad_base64", {"picture": "é"}),
        "picture is no PNG": ("card_bad_container", {"picture": "eA=="}),
        "picture breaks off": ("card_bad_container", {"picture": "iVBORw0KGgo="}),
        "too many files": (
            "card_too_many_entries",
            {"files": {f"{n}": "" for n in range(MAX_MEMBERS + 1)}},
        ),
    }
    table: Table = {
        name: (expected, lambda content=content: carrying(content))  # type: ignore[misc]
        for name, (expected, content) in packed.items()
    }
    return table | {
        "card within V1 is a list": (
            code,
            lambda: dump(
                {**PLAIN, "extensions": {"kaiwa_card": {"was": {"added": [], "card": []}}}}
            ),
        ),
    }


def _no_cards() -> Table:
    code = "card_no_data"
    return {
        "nothing": ("card_unsupported", lambda: b""),
        "GIF": ("card_unsupported", lambda: b"GIF89a" + bytes(99)),
        "web page": ("card_unsupported", lambda: b"<!doctype html><title>403</title>"),
        "UTF-16": ("card_unsupported", lambda: CARD.decode().encode("utf-16")),
        "a list of cards": ("card_unsupported", lambda: b"[" + CARD + b"]"),
        "empty object": (code, lambda: b"{}"),
        "settings": (code, lambda: b'{"temperature": 1}'),
        "lorebook": (code, lambda: b'{"spec": "lorebook_v3", "data": {"entries": []}}'),
        "another spec": (code, lambda: b'{"spec": "persona_v1", "data": {"name": "a"}}'),
        "picture without a card": (code, lambda: png({})),
        "CHARX without card.json": (code, lambda: raw_zip([Member("a", b"x")])),
        "CHARX with the card in a folder": (code, lambda: raw_zip([Member("x/card.json", CARD)])),
    }


def _noise() -> str:
    return random.Random(1).randbytes(MAX_JSON_BYTES // 2 + 99).hex()
