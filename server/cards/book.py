"""Reads a lorebook's JSON: a card's ``character_book``, ``lorebook_v3``, SillyTavern's world info."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from server.cards.fields import Fields
from server.cards.limits import MAX_BOOK_ENTRIES, MAX_KEY_CHARACTERS
from server.cards.lorebook import Decorator, Lorebook, LoreEntry
from server.errors import shorten

_DECORATOR = re.compile(r"(@@@?)([A-Za-z_]\w*)(?:[ \t]+(.*?))?[ \t]*\Z")
_AFTER = {"after_char", "after_character", 1}


def read_book(raw: Mapping[str, Any], *, file: str, path: str = "") -> Lorebook:
    """Read a book.

    Args:
        raw: Its object; ``entries`` is a list, or an object as SillyTavern saves it.
        file: For messages.
        path: Where it stands, with a dot behind; empty for the top.

    Raises:
        CardError: A field is of the wrong type, or there is too much of something.
    """
    book = Fields(raw, file, path)
    entries = raw.get("entries")
    if isinstance(entries, dict):
        entries = list(entries.values())
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise book.error("entries", f"is {shorten(entries)}; it must be a list")
    if len(entries) > MAX_BOOK_ENTRIES:
        raise book.error(
            "entries",
            f"has {len(entries)} entries, and at most {MAX_BOOK_ENTRIES} are read",
            "too_many_entries",
        )
    read = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise book.error(f"entries[{index}]", f"is {shorten(entry)}; it must be an object")
        read.append(_read_entry(Fields(entry, file, f"{path}entries[{index}]."), index))
    return Lorebook(
        name=book.text("name"),
        description=book.text("description"),
        scan_depth=book.count("scan_depth"),
        token_budget=book.count("token_budget"),
        recursive_scanning=book.flag("recursive_scanning"),
        extensions=book.mapping("extensions"),
        entries=tuple(read),
    )


def split_decorators(content: str) -> tuple[tuple[Decorator, ...], str]:
    """Take the decorators off the top of a content (Character Card V3, "Decorators").

    Lines ``@@name value``; lines ``@@@name value`` right below are its fallbacks. The first line
    that is neither begins the content.
    """
    found: list[tuple[str, str, list[Decorator]]] = []
    rest = content.lstrip()
    while True:
        line, separator, behind = rest.partition("\n")
        match = _DECORATOR.fullmatch(line.rstrip("\r"))
        if match is None:
            break
        marks, name, value = match.group(1), match.group(2), match.group(3) or ""
        if marks == "@@":
            found.append((name, value, []))
        elif found:
            found[-1][2].append(Decorator(name=name, value=value))
        rest = behind
        if not separator:
            break
    if not found:
        return (), content
    made = tuple(Decorator(name=n, value=v, fallbacks=tuple(f)) for n, v, f in found)
    return made, rest


def _read_entry(entry: Fields, index: int) -> LoreEntry:
    is_world_info = "key" in entry.raw and "keys" not in entry.raw
    decorators, content = split_decorators(entry.text("content"))
    extensions = entry.mapping("extensions")
    if is_world_info:
        extensions = {**_world_info_extensions(entry.raw), **extensions}
    keys = entry.texts("key" if is_world_info else "keys")
    secondary = entry.texts("keysecondary" if is_world_info else "secondary_keys")
    for key in (*keys, *secondary):
        if len(key) > MAX_KEY_CHARACTERS:
            raise entry.error(
                "keys",
                f"has a key of {len(key)} characters, and at most {MAX_KEY_CHARACTERS} are read",
                "too_large",
            )
    return LoreEntry(
        id=entry.text("uid") or entry.text("id") or f"#{index}",
        name=entry.text("name") or entry.text("comment"),
        keys=tuple(key for key in keys if key.strip()),
        secondary_keys=tuple(key for key in secondary if key.strip()),
        selective=entry.flag("selective"),
        content=content,
        decorators=decorators,
        enabled=not entry.flag("disable") if is_world_info else entry.flag("enabled", default=True),
        insertion_order=entry.number("order" if is_world_info else "insertion_order"),
        case_sensitive=entry.flag("caseSensitive" if is_world_info else "case_sensitive"),
        use_regex=entry.flag("use_regex"),
        constant=entry.flag("constant"),
        priority=entry.number("priority"),
        position="after_char" if entry.raw.get("position") in _AFTER else "before_char",
        extensions=extensions,
    )


_WORLD_INFO_NAMES = {
    "selectiveLogic": "selectiveLogic",
    "probability": "probability",
    "useProbability": "useProbability",
    "depth": "depth",
    "excludeRecursion": "exclude_recursion",
    "preventRecursion": "prevent_recursion",
    "delayUntilRecursion": "delay_until_recursion",
    "scanDepth": "scan_depth",
    "group": "group",
    "groupOverride": "group_override",
    "groupWeight": "group_weight",
    "sticky": "sticky",
    "cooldown": "cooldown",
    "delay": "delay",
    "matchWholeWords": "match_whole_words",
}
"""How SillyTavern itself names these in the ``extensions`` of a card's entries."""


def _world_info_extensions(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        there: raw[here] for here, there in _WORLD_INFO_NAMES.items() if raw.get(here) is not None
    }
