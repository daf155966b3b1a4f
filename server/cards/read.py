"""Reads a card from a file's bytes; its kind is told by its content, never by its name."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from server.cards.book import read_book
from server.cards.card import V1_FIELDS, Card
from server.cards.charx import CARD_NAME, find_zip, read_charx
from server.cards.json_text import parse_json
from server.cards.limits import MAX_ASSETS, MAX_FILE_BYTES
from server.cards.lorebook import Lorebook
from server.cards.png import SIGNATURE, read_png
from server.errors import CardError, shorten

ASSET_PREFIX = "chara-ext-asset_:"
"""Of the texts in which a PNG holds a card's files (Character Card V3, "PNG")."""
CARRIED = "kaiwa_card"
"""Where a V1 card carries what V1 has no place for."""
_DATA_URL = re.compile(r"data:[\w.+/-]*;name=([^;,]{1,720});base64,(.*)\Z", re.DOTALL)


def read_card(data: bytes, *, file: str) -> Card:
    """Read a card: JSON, PNG, APNG or CHARX.

    Args:
        data: The whole file.
        file: Its name, for messages.

    Raises:
        CardError: It is none, is damaged, or holds what is not taken; with a stable code.
    """
    if len(data) > MAX_FILE_BYTES:
        raise CardError(
            file, "too_large", f"has {len(data)} bytes, and at most {MAX_FILE_BYTES} are read"
        )
    if data.startswith(SIGNATURE):
        card = _from_png(data, file)
    elif find_zip(data):
        members = dict(read_charx(data, file=file).members)
        raw = parse_json(members.pop(CARD_NAME), file=file)
        card = Card(raw, _version(raw, file), file, "charx", None, members, data)
    elif data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        raw = parse_json(data, file=file)
        raw, assets = _take_assets(raw, file)
        card = Card(raw, _version(raw, file), file, "json", None, assets, data)
    else:
        raise CardError(
            file, "unsupported", "is no card; JSON, PNG, APNG and CHARX (a zip) are read"
        )
    card = _restore(card)
    card.check()
    return card


def read_lorebook(data: bytes, *, file: str) -> Lorebook:
    """Read a lorebook that is a file of its own, of either kind.

    Raises:
        CardError: It is none.
    """
    raw = parse_json(data, file=file)
    inner = raw.get("data") if raw.get("spec") == "lorebook_v3" else raw
    if not isinstance(inner, dict) or "entries" not in inner:
        raise CardError(file, "no_data", "is JSON, but no lorebook: it has no entries")
    return read_book(inner, file=file)


def _from_png(data: bytes, file: str) -> Card:
    picture = read_png(data, file=file)
    for keyword in ("ccv3", "chara"):
        text = picture.text(keyword, file=file)
        if text is not None:
            raw = parse_json(text, file=file)
            assets = picture.texts(ASSET_PREFIX, file=file)
            if len(assets) > MAX_ASSETS:
                raise CardError(
                    file,
                    "too_many_items",
                    f"holds {len(assets)} files, and at most {MAX_ASSETS} are read",
                )
            return Card(raw, _version(raw, file), file, "png", picture, assets, data)
    raise CardError(
        file, "no_data", "is a picture without a card in it; save it from where it was made again"
    )


def _version(raw: Mapping[str, Any], file: str) -> int:
    spec = raw.get("spec")
    if spec is None and "data" not in raw:
        if "name" not in raw and "char_name" not in raw:
            raise CardError(file, "no_data", "is JSON, but no card: it has no name")
        return 1
    if not isinstance(raw.get("data"), dict):
        raise CardError(file, "bad_field", "must be an object", key="data")
    if spec == "lorebook_v3":
        raise CardError(file, "unsupported", "is a lorebook, and no character")
    if spec == "chara_card_v2" or spec is None:
        return 2
    if isinstance(spec, str) and re.fullmatch(r"chara_card_v[3-9]", spec):
        return 3  # "SHOULD NOT reject" newer ones
    raise CardError(file, "unsupported", f"is of the spec {shorten(spec)}; V1, V2 and V3 are read")


def _restore(card: Card) -> Card:
    """Give a V1 card back what it carries; its own six fields count more."""
    carried = card.raw.get(CARRIED)
    if card.version != 1 or not isinstance(carried, dict):
        return card
    version = _version(carried, card.file)
    if version == 1:
        return card
    own = {name: card.raw[name] for name in V1_FIELDS if name in card.raw}
    rest = {k: v for k, v in card.raw.items() if k not in V1_FIELDS and k != CARRIED}
    raw = {**carried, **rest, "data": {**carried["data"], **own}}
    return Card(raw, version, card.file, card.container, card.picture, card.assets, card.original)


def _take_assets(raw: dict[str, Any], file: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Take files out of named data URLs, as ``write_card`` puts them into JSON."""
    data = raw.get("data")
    listed = data.get("assets") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        return raw, {}
    if len(listed) > MAX_ASSETS:
        raise CardError(
            file, "too_many_items", f"lists {len(listed)} assets, and at most {MAX_ASSETS} are read"
        )
    assets: dict[str, bytes] = {}
    kept = []
    for one in listed:
        uri = one.get("uri") if isinstance(one, dict) else None
        match = _DATA_URL.fullmatch(uri) if isinstance(uri, str) else None
        if match is None:
            kept.append(one)
            continue
        path = unquote(match.group(1))
        try:
            assets[path] = base64.b64decode(match.group(2), validate=True)
        except binascii.Error:
            raise CardError(file, "bad_base64", f"the asset {shorten(path)} is no base64") from None
        kept.append({**one, "uri": f"embeded://{path}"})
    if not assets:
        return raw, {}
    assert isinstance(data, dict)
    return {**raw, "data": {**data, "assets": kept}}, assets
