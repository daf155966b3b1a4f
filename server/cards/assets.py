"""Finds the bytes behind a card's assets, whatever the container; never looks outside the card."""

from __future__ import annotations

import base64
import binascii
import re

from server.cards.card import Asset, Card
from server.cards.png import write_png

_EMBEDDED = ("embeded://", "embedded://", "__asset:")
"""The first is V3's own spelling; the last is for files within a PNG."""
_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.=+-]+)*;base64,")


def main_icon(card: Card) -> Asset | None:
    """Return what stands for the character: the icon named main, or else the first."""
    icons = [asset for asset in card.assets if asset.type == "icon"]
    return next((icon for icon in icons if icon.name == "main"), icons[0] if icons else None)


def portrait(card: Card) -> bytes | None:
    """Return the image file that shows the character, if the card holds one.

    That is the main icon, and the PNG itself where the icon is the default (V3, ``assets``).
    """
    icon = main_icon(card)
    found = find_file(card, icon) if icon else None
    if found is None and card.picture is not None:
        return write_png(card.picture)
    return found


def find_file(card: Card, asset: Asset) -> bytes | None:
    """Return an asset's bytes; ``None`` where they are not in the card or cannot be read."""
    if asset.uri == "ccdefault:":
        is_icon = asset.type == "icon"
        return write_png(card.picture) if is_icon and card.picture is not None else None
    for prefix in _EMBEDDED:
        if asset.uri.startswith(prefix):
            return card.files.get(asset.uri[len(prefix) :])
    found = _DATA_URL.match(asset.uri[:256])
    if found is None:
        return None
    try:
        return base64.b64decode(asset.uri[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        return None
