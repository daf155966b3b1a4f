"""What hostile cards are made of."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from tools.cards.samples import png_bytes, png_of

Table = dict[str, tuple[str, Callable[[], bytes]]]
"""Attacks of one class by name: the code of the refusal, and what makes the file."""

PLAIN = {"name": "Aoi", "description": "She watches the sea."}
V3 = {"spec": "chara_card_v3", "spec_version": "3.0", "data": PLAIN}
CARD = json.dumps(V3).encode()
MIB = 1024 * 1024


def in_entry(**fields: Any) -> dict[str, Any]:
    """Return the fields of a card whose book has one entry."""
    return {"character_book": {"entries": [fields]}}


def card(**data: Any) -> bytes:
    """Make a V3 card as JSON."""
    return dump({**V3, "data": {**PLAIN, **data}})


def carrying(luggage: Any) -> bytes:
    """Make a card that says it was packed."""
    return card(extensions={"kaiwa_card": luggage})


def dump(raw: object) -> bytes:
    """Write JSON."""
    return json.dumps(raw).encode()


def b64(data: bytes) -> bytes:
    """Write base64."""
    return base64.b64encode(data)


def png(texts: dict[str, bytes], *more: bytes, kind: bytes = b"tEXt") -> bytes:
    """Make a picture.

    Args:
        texts: tEXt chunks by keyword.
        more: Contents of further chunks.
        kind: Theirs.
    """
    chunks = png_of(texts)
    return png_bytes([chunks[0], *((kind, data) for data in more), *chunks[1:]])
