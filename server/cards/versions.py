"""Says a card in another version, and takes that back: nothing is lost either way.

What a version has no place for travels with the card as luggage in ``extensions.kaiwa_card``, which
every program must keep (V2: "MUST NOT destroy unknown key-value pairs"). Reading a card unpacks it:

* V3 as V2: V3's own fields leave ``data`` and travel. V2 as V3: required fields are put in empty,
  and their names travel. V1 as V2 or V3: the six fields move into ``data``, and that travels.
* V2 or V3 as V1: the six fields stand in the open, all else travels in the top's ``extensions``.
* What another program has changed meanwhile counts more than the luggage.

Files and pictures that a container cannot hold travel in the same way (``server.cards.write``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.cards.card import V1_FIELDS, find_version
from server.cards.lorebook import split_decorators
from server.errors import CardError, CardErrorCode

LUGGAGE = "kaiwa_card"
"""The luggage's key in ``extensions``."""

V3_FIELDS = (
    "assets",
    "nickname",
    "creator_notes_multilingual",
    "source",
    "group_only_greetings",
    "creation_date",
    "modification_date",
)
"""Fields of ``data`` that V2 does not know."""

BACKFILL_NOTE = (
    "This character card is Character Card V3, but it is loaded as a Character Card V2. Please use "
    "a Character Card V3 compatible application to use this character card properly."
)
"""V3, "PNG/APNG", asks for it where V2 is written beside V3."""

_TOP = ("spec", "spec_version")


def pack(
    raw: Mapping[str, Any], version: int, luggage: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Say a card in a version.

    Args:
        raw: The JSON of a card without luggage; not changed.
        version: 1, 2 or 3.
        luggage: What else travels with it.

    Returns:
        New JSON, sharing what did not change.
    """
    own = find_version(raw)
    packed, was = dict(raw), dict[str, Any]()
    if version != own:
        change = _as_v1 if version == 1 else _from_v1 if own == 1 else _between
        packed, was = change(raw, version)
    content = dict(luggage or {}) | ({"was": was} if was else {})
    return _load(packed, version, content) if content else packed


def unpack(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take back what ``pack`` did.

    Returns:
        The card's JSON as it was packed, and the luggage that went with it.

    Raises:
        CardError: ``card_bad_field`` where the luggage is not as it was packed, or what
            ``find_version`` raises.
    """
    version = find_version(raw)
    plain, luggage = _unload(raw, version)
    if "was" in luggage:
        was = _table(luggage, "was")
        if version == 1:
            plain = _back_from_v1(plain, was)
        elif was.get("version") == 1:
            plain = _back_to_v1(plain, was)
        else:
            plain = _back_between(plain, was)
        del luggage["was"]
        find_version(plain)
    if LUGGAGE in _extensions_of(plain):
        raise _bad("is packed twice")
    return plain, luggage


def backfill(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Say a V3 card in V2 for programs that do not know V3, without luggage.

    It is trimmed as V3 asks: a note for people, and no decorators, which would be read aloud.
    """
    plain = dict(pack(raw, 2)["data"])
    extensions = dict(plain["extensions"])
    extensions.pop(LUGGAGE, None)
    plain["extensions"] = extensions
    notes = plain.get("creator_notes")
    plain["creator_notes"] = f"{BACKFILL_NOTE}\n\n{notes}" if notes else BACKFILL_NOTE
    book = plain.get("character_book")
    if isinstance(book, Mapping) and isinstance(book.get("entries"), list):
        entries = [_without_decorators(entry) for entry in book["entries"]]
        plain["character_book"] = {**book, "entries": entries}
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": plain}


def _without_decorators(entry: object) -> object:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("content"), str):
        return entry
    return {**entry, "content": split_decorators(entry["content"])[1]}


def _defaults(version: int) -> dict[str, Any]:
    """Fields that every card of a version has."""
    texts = (*V1_FIELDS, "creator_notes", "system_prompt", "post_history_instructions")
    data: dict[str, Any] = dict.fromkeys((*texts, "creator", "character_version"), "")
    data |= {"alternate_greetings": [], "tags": [], "extensions": {}}
    return data | {"group_only_greetings": []} if version == 3 else data


def _between(raw: Mapping[str, Any], version: int) -> tuple[dict[str, Any], dict[str, Any]]:
    data = dict(raw["data"])
    moved = {name: data.pop(name) for name in V3_FIELDS if version == 2 and name in data}
    data, added = _fill(data, version)
    was = {
        "version": find_version(raw),
        "top": {name: raw[name] for name in _TOP if name in raw},
        "data": moved,
        "added": added,
    }
    return {**raw, **_names(version), "data": data}, was


def _from_v1(raw: Mapping[str, Any], version: int) -> tuple[dict[str, Any], dict[str, Any]]:
    rest = {name: value for name, value in raw.items() if name not in V1_FIELDS}
    data, added = _fill({name: raw[name] for name in V1_FIELDS if name in raw}, version)
    top = {name: rest[name] for name in (*_TOP, "data") if name in rest}
    was = {"version": 1, "top": top, "added": added}
    return {**rest, **_names(version), "data": data}, was


def _as_v1(raw: Mapping[str, Any], version: int) -> tuple[dict[str, Any], dict[str, Any]]:
    data = raw["data"]
    open_fields, added = _fill({name: data[name] for name in V1_FIELDS if name in data}, version)
    hidden = {name: value for name, value in data.items() if name not in V1_FIELDS}
    return open_fields, {"added": added, "card": {**raw, "data": hidden}}


def _fill(data: dict[str, Any], version: int) -> tuple[dict[str, Any], list[str]]:
    """Put in what a version demands; say what that was."""
    wanted = dict.fromkeys(V1_FIELDS, "") if version == 1 else _defaults(version)
    added = [name for name in wanted if name not in data]
    return {**data, **{name: wanted[name] for name in added}}, added


def _names(version: int) -> dict[str, str]:
    return {"spec": f"chara_card_v{version}", "spec_version": f"{version}.0"}


def _load(packed: dict[str, Any], version: int, content: dict[str, Any]) -> dict[str, Any]:
    """Put luggage into the extensions; what they were, if no object, travels too."""
    holder = packed if version == 1 else packed["data"]
    extensions = holder.get("extensions")
    if not isinstance(extensions, Mapping):
        content["extensions"] = [extensions] if "extensions" in holder else []
        extensions = {}
    filled = {**holder, "extensions": {**extensions, LUGGAGE: content}}
    return filled if version == 1 else {**packed, "data": filled}


def _unload(raw: Mapping[str, Any], version: int) -> tuple[dict[str, Any], dict[str, Any]]:
    holder = dict(raw if version == 1 else raw["data"])
    extensions = holder.get("extensions")
    if not isinstance(extensions, Mapping) or LUGGAGE not in extensions:
        return dict(raw), {}
    luggage = dict(_table(extensions, LUGGAGE))
    rest = {name: value for name, value in extensions.items() if name != LUGGAGE}
    before = luggage.pop("extensions", None)
    holder["extensions"] = rest
    if before is not None and not rest:
        if not isinstance(before, list) or len(before) > 1:
            raise _bad("has other extensions than were packed")
        if before:
            holder["extensions"] = before[0]
        else:
            del holder["extensions"]
    return holder if version == 1 else {**raw, "data": holder}, luggage


def _back_from_v1(plain: dict[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
    card = dict(_table(was, "card"))
    hidden = _table(card, "data")
    added = _added(was)
    own = {
        name: plain.pop(name)
        for name in V1_FIELDS
        if name in plain and not (name in added and plain[name] == "")
    }
    for name in added:
        plain.pop(name, None)
    return {**plain, **card, "data": {**hidden, **own}}


def _back_to_v1(plain: dict[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
    data = _without_added(plain["data"], was)
    if not data.keys() <= set(V1_FIELDS):
        return plain  # somebody has filled in what V1 cannot say
    top = {name: value for name, value in plain.items() if name not in (*_TOP, "data")}
    return {**top, **_table(was, "top"), **data}


def _back_between(plain: dict[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
    data = _without_added(plain["data"], was)
    if was.get("version") == 2 and any(name in data for name in _added(was) if name in V3_FIELDS):
        return plain  # somebody has filled in what V2 cannot say
    top = {name: value for name, value in plain.items() if name not in _TOP}
    return {**top, **_table(was, "top"), "data": {**_table(was, "data"), **data}}


def _without_added(data: Mapping[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
    added, wanted = _added(was), _defaults(3)
    return {
        name: value
        for name, value in data.items()
        if not (name in added and name in wanted and value == wanted[name])
    }


def _extensions_of(plain: Mapping[str, Any]) -> Mapping[str, Any]:
    holder = plain if find_version(plain) == 1 else plain["data"]
    extensions = holder.get("extensions")
    return extensions if isinstance(extensions, Mapping) else {}


def _added(was: Mapping[str, Any]) -> list[Any]:
    added = was.get("added")
    if not isinstance(added, list):
        raise _bad("has no list of what was added")
    return added


def _table(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    if not isinstance(value, Mapping):
        raise _bad(f"has no object {name}")
    return value


def _bad(problem: str) -> CardError:
    return CardError(
        CardErrorCode.BAD_FIELD,
        f"{problem}; take the key out, or export the card again",
        key=f"extensions.{LUGGAGE}",
    )
