"""Writes cards, losing nothing: what a form has no place for is carried along in it.

* The form that a card came in, and its own version, give back the file as it came.
* V2 and V3 differ in ``spec`` and in fields that V2's readers pass over; they stay.
* V1 has six fields; the whole card is carried beside them, and reading gives it back.
* A PNG holds ``chara`` (V2, or V1's six fields) for every reader, and ``ccv3`` where the card is V3.
* Files of a card: members of a CHARX, texts of a PNG, data URLs in JSON.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from server.cards.card import V1_FIELDS, Card
from server.cards.charx import CARD_NAME, Charx
from server.cards.json_text import write_json
from server.cards.png import Png, plain_png
from server.cards.read import ASSET_PREFIX, CARRIED

Format = Literal["json", "png", "charx"]

_PORTRAIT = "assets/icon/image/main.png"


def write_card(card: Card, format: Format, *, version: int | None = None) -> bytes:
    """Write a file.

    Args:
        card: Not changed.
        format: Of the file; an animated picture stays animated.
        version: 1, 2 or 3; ``None`` keeps the card's own. A PNG and a CHARX are as they must be: a
            CHARX is always V3.
    """
    wanted = 3 if format == "charx" else version or card.version
    if card.original and format == card.container and wanted == card.version:
        return card.original
    raw = as_version(card.raw, card.version, wanted)
    match format:
        case "json":
            return write_json(_with_data_urls(raw, _files(card)))
        case "png":
            return _as_png(card, raw, wanted).to_bytes()
        case "charx":
            files = _files(card)
            return Charx({CARD_NAME: write_json(_with_files(raw, files)), **files}).to_bytes()


def as_version(raw: Mapping[str, Any], version: int, wanted: int) -> dict[str, Any]:
    """Say a card in another version.

    Args:
        raw: Its JSON.
        version: That it has.
        wanted: That it gets.
    """
    if wanted == version:
        return dict(raw)
    if version == 1:
        raw = _from_v1(raw)
    if wanted == 1:
        data = raw["data"]
        own = {name: data.get(name, "") for name in V1_FIELDS}
        return {**own, CARRIED: dict(raw)}
    data = {**_defaults(wanted), **raw["data"]}
    return {**raw, "spec": f"chara_card_v{wanted}", "spec_version": f"{wanted}.0", "data": data}


def _from_v1(raw: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: raw[name] for name in V1_FIELDS if name in raw}
    rest = {name: value for name, value in raw.items() if name not in V1_FIELDS}
    return {**rest, "data": own}


def _defaults(version: int) -> dict[str, Any]:
    """Fields that every card of a version has."""
    texts = (*V1_FIELDS, "creator_notes", "system_prompt", "post_history_instructions")
    data: dict[str, Any] = dict.fromkeys((*texts, "creator", "character_version"), "")
    data |= {"alternate_greetings": [], "tags": [], "extensions": {}}
    return data | {"group_only_greetings": []} if version == 3 else data


def _files(card: Card) -> dict[str, bytes]:
    """Its files; a PNG's picture is one of them."""
    files = dict(card.assets)
    if card.picture is not None and _PORTRAIT not in files:
        files[_PORTRAIT] = _bare(card.picture).to_bytes()
    return files


def _bare(picture: Png) -> Png:
    """The picture without the card."""
    kept = (c for c in picture.chunks if (c.keyword() or "").lower() not in ("chara", "ccv3"))
    return Png(tuple(c for c in kept if not (c.keyword() or "").lower().startswith(ASSET_PREFIX)))


def _with_files(raw: dict[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """List the portrait, where nobody has listed it."""
    uri = f"embeded://{_PORTRAIT}"
    listed = raw["data"].get("assets") or []
    if _PORTRAIT not in files or any(isinstance(a, dict) and a.get("uri") == uri for a in listed):
        return raw
    icon = {"type": "icon", "uri": uri, "name": "main", "ext": "png"}
    return {**raw, "data": {**raw["data"], "assets": [*listed, icon]}}


def _with_data_urls(raw: dict[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    if not files or "data" not in raw:
        return raw
    raw = _with_files(raw, files)
    listed = []
    told: set[str] = set()
    for one in raw["data"].get("assets") or []:
        path = _path(one)
        if path in files:
            told.add(path)
            one = {**one, "uri": _data_url(path, files[path])}
        listed.append(one)
    for path in files.keys() - told:
        listed.append(
            {"type": "x_file", "uri": _data_url(path, files[path]), "name": path, "ext": ""}
        )
    return {**raw, "data": {**raw["data"], "assets": listed}}


def _path(asset: object) -> str:
    uri = asset.get("uri") if isinstance(asset, dict) else None
    return uri.removeprefix("embeded://") if isinstance(uri, str) else ""


def _data_url(path: str, data: bytes) -> str:
    text = base64.b64encode(data).decode()
    return f"data:application/octet-stream;name={quote(path)};base64,{text}"


def _as_png(card: Card, raw: dict[str, Any], version: int) -> Png:
    picture = card.picture or _picture_of(card)
    texts = {"chara": write_json(raw if version < 3 else as_version(raw, 3, 2))}
    if version == 3:
        texts["ccv3"] = write_json(raw)
    texts |= {f"{ASSET_PREFIX}{path}": data for path, data in card.assets.items()}
    return Png(
        tuple(c for c in picture.chunks if (c.keyword() or "").lower() not in ("chara", "ccv3"))
    ).with_texts(texts, without=ASSET_PREFIX)


def _picture_of(card: Card) -> Png:
    from server.cards.png import SIGNATURE, read_png

    portrait = card.assets.get(_PORTRAIT, b"")
    if portrait.startswith(SIGNATURE):
        return read_png(portrait, file=card.file)
    shade = zlib.crc32(card.name.encode())
    return plain_png(80 + shade % 96, 80 + (shade >> 8) % 96, 80 + (shade >> 16) % 96)
