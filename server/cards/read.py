"""Reads a card or a lorebook from a file's bytes; its kind is told by content, never by name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from server.cards.archive import MAX_MEMBERS, check_path, fold_path, is_archive, read_archive
from server.cards.card import Card, make_card
from server.cards.fields import too_many
from server.cards.json_text import parse_json
from server.cards.lorebook import Lorebook, read_book
from server.cards.png import SIGNATURE, Png, decode_text, read_png
from server.cards.versions import LUGGAGE, unpack
from server.cards.world_info import is_world_info, to_lorebook
from server.errors import CardError, CardErrorCode, shorten

MAX_FILE_BYTES = 64 * 1024 * 1024
CARD_MEMBER = "card.json"
"""The card in a CHARX."""
V3_KEYWORD, V2_KEYWORD = "ccv3", "chara"
"""Of a PNG's texts; V3's counts more (V3, "PNG/APNG")."""
ASSET_KEYWORD = "chara-ext-asset_:"
"""What keywords of a PNG's embedded files begin with; the path follows."""


def read_card(data: bytes, *, file: str) -> Card:
    """Read a card: JSON, PNG, APNG or CHARX, also a CHARX behind a picture.

    Args:
        data: The whole file.
        file: Its name, for messages only.

    Raises:
        CardError: It is not taken; says why by a stable code.
    """
    try:
        return _read(data)
    except CardError as error:
        raise error.in_file(file) from None


def read_lorebook(data: bytes, *, file: str) -> Lorebook:
    """Read a lorebook that is a file of its own: ``lorebook_v3``, a bare book, or world info.

    Args:
        data: The whole file.
        file: Its name, for messages only.

    Raises:
        CardError: It is not taken; says why by a stable code.
    """
    try:
        _check_size(data)
        raw: Mapping[str, Any] = parse_json(data)
        inner = raw.get("data")
        if raw.get("spec") == "lorebook_v3" and isinstance(inner, Mapping):
            raw = inner
        if is_world_info(raw):
            return read_book(to_lorebook(raw), path="lorebook")
        if not isinstance(raw.get("entries"), list):
            raise CardError(CardErrorCode.NO_DATA, "the JSON is no lorebook: it has no entries")
        return read_book(raw, path="lorebook")
    except CardError as error:
        raise error.in_file(file) from None


def _read(data: bytes) -> Card:
    _check_size(data)
    if data.startswith(SIGNATURE):
        picture = read_png(data)
        text = picture.find(V3_KEYWORD) or picture.find(V2_KEYWORD)
        if text is not None:
            return _read_png(picture, parse_json(decode_text(text)))
        if not is_archive(data):
            raise CardError(
                CardErrorCode.NO_DATA,
                "the picture has no card in it; many sites strip it, so load the original",
            )
    if is_archive(data):
        return _read_charx(read_archive(data))
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        raw, luggage = unpack(parse_json(data))
        return make_card(
            raw,
            container="json",
            picture=_carried_picture(luggage),
            files=_carried_files(luggage),
        )
    raise CardError(
        CardErrorCode.UNSUPPORTED,
        f"the file begins with {shorten(data[:8])}, and JSON, PNG, APNG and CHARX are read",
    )


def _check_size(data: bytes) -> None:
    if len(data) > MAX_FILE_BYTES:
        raise CardError(
            CardErrorCode.TOO_LARGE,
            f"the file is {len(data)} bytes, and the limit is {MAX_FILE_BYTES}; "
            "leave large assets out",
        )


def _read_png(picture: Png, raw: Mapping[str, Any]) -> Card:
    raw, luggage = unpack(raw)
    paths = _told(luggage, "paths")
    embedded = (
        (chunk.keyword[len(ASSET_KEYWORD) :], chunk)
        for chunk in picture.chunks
        if chunk.keyword.lower().startswith(ASSET_KEYWORD)
    )
    files = _collect((paths.get(name, name), decode_text(chunk)) for name, chunk in embedded)
    bare = picture.without((V3_KEYWORD, V2_KEYWORD), prefix=ASSET_KEYWORD)
    return make_card(
        raw,
        container="apng" if picture.is_animated else "png",
        picture=None if luggage.get("drawn") is True else bare,
        files=files,
    )


def _read_charx(members: dict[str, bytes]) -> Card:
    text = members.pop(CARD_MEMBER, None)
    if text is None:
        raise CardError(CardErrorCode.NO_DATA, f"the zip has no {CARD_MEMBER} in its root")
    raw = parse_json(text)
    portrait, picture = _portrait_of(raw), None
    if portrait and members.get(portrait["path"], b"").startswith(SIGNATURE):
        picture = read_png(members.pop(portrait["path"]))
        raw = _without_portrait(raw, portrait)
    raw, _ = unpack(raw)
    return make_card(raw, container="charx", picture=picture, files=members)


def _portrait_of(raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Find what ``write_card`` has noted of a picture that became a member."""
    found: Any = raw
    for name in ("data", "extensions", LUGGAGE, "portrait"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) and isinstance(found.get("path"), str) else None


def _without_portrait(raw: dict[str, Any], portrait: Mapping[str, Any]) -> dict[str, Any]:
    """Take back what was told of the picture in the list of assets."""
    listed = raw["data"].get("assets")
    if not isinstance(listed, list):
        return raw
    uri = f"embeded://{portrait['path']}"
    kept: list[Any] = []
    for asset in listed:
        is_it = isinstance(asset, Mapping) and asset.get("uri") == uri
        if is_it and portrait.get("stood") == "default":
            kept.append({**asset, "uri": "ccdefault:"})
        elif not (is_it and portrait.get("stood") in ("nowhere", "alone")):
            kept.append(asset)
    data = {**raw["data"], "assets": kept}
    if not kept and portrait.get("stood") == "alone":
        del data["assets"]
    return {**raw, "data": data}


def _carried_picture(luggage: Mapping[str, Any]) -> Png | None:
    text = luggage.get("picture")
    return None if text is None else read_png(_decode(text, "picture"))


def _carried_files(luggage: Mapping[str, Any]) -> dict[str, bytes]:
    told = _told(luggage, "files")
    return _collect((path, _decode(text, "files")) for path, text in told.items())


def _collect(files: Iterable[tuple[object, bytes]]) -> dict[str, bytes]:
    """Check the paths of files that came in texts, as those of a zip are checked."""
    collected: dict[str, bytes] = {}
    seen: set[str] = set()
    for path, data in files:
        if not isinstance(path, str):
            raise CardError(
                CardErrorCode.BAD_PATH, "must be text", key=f"extensions.{LUGGAGE}.paths"
            )
        check_path(path)
        folded = fold_path(path)
        if folded in seen:
            raise CardError(
                CardErrorCode.BAD_PATH,
                "two files have this path, or paths that differ by case only; rename one",
                key=shorten(path),
            )
        seen.add(folded)
        collected[path] = data
        if len(collected) > MAX_MEMBERS:
            raise too_many("files", len(collected), MAX_MEMBERS)
    return collected


def _told(luggage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    told = luggage.get(name, {})
    if not isinstance(told, Mapping):
        raise CardError(
            CardErrorCode.BAD_FIELD, "must be an object", key=f"extensions.{LUGGAGE}.{name}"
        )
    return told


def _decode(text: object, name: str) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise CardError(CardErrorCode.BAD_BASE64, "must be base64", key=f"extensions.{LUGGAGE}.{name}")
