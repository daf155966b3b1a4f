"""Writes cards, losing nothing: ``read_card`` of what is written gives the card that was written.

* JSON of any version; what a version cannot say travels as luggage (``server.cards.versions``), and
  so do the picture and embedded files, as base64.
* PNG and APNG: the picture's chunks untouched; ``ccv3`` holds the card, and ``chara`` a V2 form for
  programs that know no other. Files become ``chara-ext-asset_:`` texts. A card without a picture
  gets its icon, if that is a PNG, or a drawn one, and both are forgotten when it is read again.
* CHARX: ``card.json`` in V3, files as members. The picture becomes a member too and, where nothing
  else stands for the character, its main icon; reading takes that back.

URIs of assets are never rewritten: ``server.cards.assets`` finds their files in any container.
Each file is read again before it is given out, so none is written that would lose or be refused.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

from server.cards.archive import write_archive
from server.cards.assets import find_file, main_icon
from server.cards.card import Card
from server.cards.json_text import write_json
from server.cards.png import MAX_KEYWORD_BYTES, SIGNATURE, Png, draw_png, read_png, write_png
from server.cards.read import (
    ASSET_KEYWORD,
    CARD_MEMBER,
    V2_KEYWORD,
    V3_KEYWORD,
    read_card,
)
from server.cards.versions import backfill, pack
from server.errors import CardError, CardErrorCode

Format = Literal["json", "png", "charx"]

PORTRAIT_PATH = "assets/icon/images/main.png"
"""Of the picture in a CHARX, where V3 wants icons to be."""


def write_card(card: Card, format: Format, *, version: int | None = None) -> bytes:
    """Write a file.

    Args:
        card: Not changed.
        format: Of the file; an animated picture stays animated in ``png``.
        version: Of JSON: 1, 2 or 3; ``None`` keeps the card's own. A PNG holds V2 and V3, a CHARX
            V3, whatever the card is.

    Raises:
        CardError: The format cannot hold this card, such as ``card_too_large``; or
            ``card_unsupported``, for a version that the format does not have.
    """
    if version is not None and (format != "json" or version not in (1, 2, 3)):
        raise CardError(
            CardErrorCode.UNSUPPORTED,
            f"version {version} of {format} is not written; JSON has versions 1, 2 and 3",
        )
    match format:
        case "json":
            data = write_json(pack(card.raw, version or card.version, _luggage(card)))
        case "png":
            data = _write_png(card)
        case "charx":
            data = _write_charx(card)
    _check_written(card, data, format)
    return data


def write_lorebook(card: Card) -> bytes | None:
    """Write a card's lorebook as a file of its own (Character Card V3); all fields stay.

    Returns:
        ``None`` where the card has none.
    """
    data = card.raw.get("data")
    book = data.get("character_book") if isinstance(data, Mapping) else None
    return None if not book else write_json({"spec": "lorebook_v3", "data": book})


def _check_written(card: Card, data: bytes, format: Format) -> None:
    try:
        again = read_card(data, file="")
    except CardError as error:
        raise CardError(
            CardErrorCode(error.code),
            f"the card does not go into {format}: {error.message}; a CHARX holds the most",
            key=error.key,
        ) from None
    if (again.raw, again.files, again.picture) != (card.raw, card.files, card.picture):
        raise CardError(
            CardErrorCode.UNSUPPORTED,
            f"the card would not come out of {format} as it goes in; write another format",
        )


def _luggage(card: Card) -> dict[str, Any]:
    """What JSON has no place for."""
    luggage: dict[str, Any] = {}
    if card.files:
        luggage["files"] = {
            path: base64.b64encode(data).decode() for path, data in card.files.items()
        }
    if card.picture is not None:
        luggage["picture"] = base64.b64encode(write_png(card.picture)).decode()
    return luggage


def _write_png(card: Card) -> bytes:
    picture, luggage = card.picture, dict[str, Any]()
    if picture is None:
        picture, luggage = _find_picture(card), {"drawn": True}
    names = {path: _keyword_path(path, index) for index, path in enumerate(card.files)}
    renamed = {name: path for path, name in names.items() if name != path}
    if renamed:
        luggage["paths"] = renamed
    files = {f"{ASSET_KEYWORD}{names[path]}": data for path, data in card.files.items()}
    v2 = pack(card.raw, 2) if card.version < 3 else backfill(card.raw)
    texts = {
        V2_KEYWORD: write_json(v2),
        V3_KEYWORD: write_json(pack(card.raw, 3, luggage)),
    }
    bare = picture.without((V3_KEYWORD, V2_KEYWORD), prefix=ASSET_KEYWORD)
    return write_png(bare.with_texts({**texts, **files}))


def _find_picture(card: Card) -> Png:
    icon = main_icon(card)
    data = find_file(card, icon) if icon else None
    if data is not None and data.startswith(SIGNATURE):
        try:
            return read_png(data)
        except CardError:
            pass  # an asset may be damaged; the card is not
    return draw_png(card.name.encode())


def _keyword_path(path: str, index: int) -> str:
    """Return a name that a PNG's keyword can hold: the path itself where it does."""
    try:
        fits = len(f"{ASSET_KEYWORD}{path}".encode("latin-1")) <= MAX_KEYWORD_BYTES
    except UnicodeEncodeError:
        fits = False
    # Names of this kind are taken, so that no path can be mistaken for one.
    return path if fits and not path.startswith("kaiwa-") else f"kaiwa-{index}"


def _write_charx(card: Card) -> bytes:
    raw = pack(card.raw, 3)
    members = dict(card.files)
    if card.picture is not None:
        path, number = PORTRAIT_PATH, 1
        while path in members:
            number += 1
            path = PORTRAIT_PATH.replace("main", f"main-{number}")
        members[path] = write_png(card.picture)
        stood, assets = _list_portrait(raw["data"].get("assets"), path)
        raw = pack(card.raw, 3, {"portrait": {"path": path, "stood": stood}})
        if assets is not None:
            raw["data"]["assets"] = assets
    return write_archive({CARD_MEMBER: write_json(raw), **members})


def _list_portrait(listed: object, path: str) -> tuple[str, list[Any] | None]:
    """Say in the list of assets where the picture is.

    Returns:
        What stood there for the character before, and the new list, if it changes.
    """
    icon = {"type": "icon", "uri": f"embeded://{path}", "name": "main", "ext": "png"}
    if listed is None:
        return "alone", [icon]
    if not isinstance(listed, list):
        return "listed", None
    for index, asset in enumerate(listed):
        if isinstance(asset, Mapping) and (asset.get("type"), asset.get("name")) == (
            "icon",
            "main",
        ):
            if asset.get("uri") != "ccdefault:":
                return "listed", None
            return "default", [
                *listed[:index],
                {**asset, "uri": icon["uri"]},
                *listed[index + 1 :],
            ]
    return "nowhere", [*listed, icon]
