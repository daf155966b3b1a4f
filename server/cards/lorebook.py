r"""What a world knows: entries that wait for their keys, read from a card's ``character_book``.

::

    {"keys": ["sea", "harbour"], "insertion_order": 10,
     "content": "@@depth 4\n@@@scan_depth 2\nThe harbour closed in spring."}

    →  keys ("sea", "harbour"), content "The harbour closed in spring.",
       decorators (Decorator "depth" "4" with its fallback "scan_depth" "2",)

The fields are those of Character Card V3 ("Lorebook Fields", "Decorators"); V2's books are read by
the same rules. Nothing here decides which entry speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from server.cards.fields import (
    NOTHING,
    read_flag,
    read_number,
    read_table,
    read_text,
    read_texts,
    too_many,
)
from server.errors import CardError, CardErrorCode

MAX_ENTRIES = 2_000
MAX_KEYS = 512
"""Keys of one entry, primary or secondary."""
MAX_KEY_LENGTH = 2_000
"""Characters of one key, a regular expression or not."""
MAX_DECORATORS = 64
"""Decorators of one entry, fallbacks counted."""

BEFORE_CHAR = "before_char"
AFTER_CHAR = "after_char"

_DECORATOR = re.compile(r"(@@@?)([A-Za-z][A-Za-z0-9_]*)(?:[ \t]+(.*))?")
_DELIMITED = re.compile(r"/.+/[a-z]*", re.DOTALL)
# Fields that only SillyTavern writes into an entry's extensions.
_SILLYTAVERN_MARKS = frozenset({"selectiveLogic", "exclude_recursion", "prevent_recursion"})
_AT_DEPTH = 4  # SillyTavern's number for "between the messages"
_ROLES = {0: "system", 1: "user", 2: "assistant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decorator:
    """A line ``@@name value`` at the head of an entry's content.

    Attributes:
        name: Without ``@@``, as it was written.
        value: The rest of the line, empty where there is none; commas still in it.
        fallbacks: The ``@@@`` lines below it, to be tried in order when it is not understood.
    """

    name: str
    value: str
    fallbacks: tuple[Decorator, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoreEntry:
    """One piece of lore.

    Attributes:
        id: Unique in its book: the entry's own, else its place in the list.
        name: For people; its comment where it has no name. Never part of a prompt.
        keys: Any of them in the recent messages calls the entry.
        secondary_keys: Where ``selective``, one of these must be there too.
        selective: See ``secondary_keys``.
        content: What is said, without its decorator lines; macros not expanded.
        decorators: In the order of the lines.
        enabled: A disabled entry never speaks.
        insertion_order: The lower, the earlier it stands.
        case_sensitive: How ``keys`` are compared.
        use_regex: ``keys`` are regular expressions, bare or as ``/pattern/flags``.
        constant: Speaks without a key.
        priority: The lowest gives way first when the budget is spent; ``insertion_order`` where
            the entry has none.
        position: ``before_char`` or ``after_char``.
        extensions: What other programs keep here; a view of the card's own.
    """

    id: str
    name: str = ""
    keys: tuple[str, ...] = ()
    secondary_keys: tuple[str, ...] = ()
    selective: bool = False
    content: str = ""
    decorators: tuple[Decorator, ...] = ()
    enabled: bool = True
    insertion_order: int = 0
    case_sensitive: bool = False
    use_regex: bool = False
    constant: bool = False
    priority: int = 0
    position: str = BEFORE_CHAR
    extensions: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lorebook:
    """A book of lore.

    Attributes:
        name: For people; never part of a prompt.
        description: For people; never part of a prompt.
        scan_depth: Messages that are searched for keys; ``None`` leaves it to the server.
        token_budget: Tokens that the entries may come to together; ``None`` as above.
        recursive_scanning: Entries' contents are searched for keys too.
        extensions: What other programs keep here; a view of the card's own.
        entries: In the order of the file.
    """

    name: str = ""
    description: str = ""
    scan_depth: int | None = None
    token_budget: int | None = None
    recursive_scanning: bool = False
    extensions: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    entries: tuple[LoreEntry, ...] = ()


def read_book(raw: Mapping[str, Any], *, path: str = "character_book") -> Lorebook:
    """Read a Lorebook object of V3, or V2's CharacterBook.

    Args:
        raw: The object; not changed, and looked into for ``extensions``.
        path: Where it stands, for messages.

    Raises:
        CardError: ``card_bad_field`` or ``card_too_many_entries``, by dotted path.
    """
    entries = raw.get("entries")
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise CardError(CardErrorCode.BAD_FIELD, "must be a list of entries", key=f"{path}.entries")
    if len(entries) > MAX_ENTRIES:
        raise too_many(f"{path}.entries", len(entries), MAX_ENTRIES)
    prefix = f"{path}."
    return Lorebook(
        name=read_text(raw, "name", prefix),
        description=read_text(raw, "description", prefix),
        scan_depth=_read_limit(raw, "scan_depth", prefix),
        token_budget=_read_limit(raw, "token_budget", prefix),
        recursive_scanning=read_flag(raw, "recursive_scanning", prefix, default=False),
        extensions=read_table(raw, "extensions", prefix),
        entries=_with_unique_ids(
            _read_entry(entry, f"{path}.entries[{index}]", index)
            for index, entry in enumerate(entries)
        ),
    )


def split_decorators(content: str, *, path: str = "content") -> tuple[tuple[Decorator, ...], str]:
    """Take the decorator lines from the head of an entry's content.

    Only the head is looked at: a line of ``@@`` further down may be somebody's text. Without
    decorators the content stays exactly as it is; with them, the line ends around them go too.

    Returns:
        The decorators and the content that is left.

    Raises:
        CardError: ``card_too_many_entries``.
    """
    decorators: list[Decorator] = []
    count = position = 0
    while position < len(content):
        end = content.find("\n", position)
        end = len(content) if end < 0 else end
        line = content[position:end].strip()
        found = _DECORATOR.fullmatch(line)
        if line and found is None:
            break
        position = end + 1
        if found is None:
            continue
        count += 1
        if count > MAX_DECORATORS:
            raise too_many(path, count, MAX_DECORATORS)
        marks, name, value = found.groups()
        decorator = Decorator(name=name, value=(value or "").strip())
        if marks == "@@":
            decorators.append(decorator)
        elif decorators:  # a fallback of nothing says nothing
            main = decorators[-1]
            decorators[-1] = replace(main, fallbacks=(*main.fallbacks, decorator))
    return (tuple(decorators), content[position:]) if count else ((), content)


def _read_limit(raw: Mapping[str, Any], key: str, path: str) -> int | None:
    limit = read_number(raw, key, path)
    return None if limit is None else max(0, limit)


def _read_entry(raw: object, path: str, index: int) -> LoreEntry:
    if not isinstance(raw, Mapping):
        raise CardError(CardErrorCode.BAD_FIELD, "must be an object", key=path)
    prefix = f"{path}."
    extensions = read_table(raw, "extensions", prefix)
    decorators, content = split_decorators(
        read_text(raw, "content", prefix), path=f"{prefix}content"
    )
    order = read_number(raw, "insertion_order", prefix) or 0
    priority = read_number(raw, "priority", prefix)
    keys = _read_keys(raw, "keys", prefix)
    constant = read_flag(raw, "constant", prefix, default=False)
    use_regex = read_flag(raw, "use_regex", prefix, default=False)
    case_sensitive = read_flag(raw, "case_sensitive", prefix, default=False)
    if not _SILLYTAVERN_MARKS.isdisjoint(extensions):
        case_sensitive = read_flag(
            extensions, "case_sensitive", f"{prefix}extensions.", default=case_sensitive
        )
        use_regex, keys = _read_sillytavern_keys(keys, constant=constant)
        decorators = (*decorators, *_read_sillytavern_place(extensions, prefix, decorators))
    return LoreEntry(
        id=read_text(raw, "id", prefix) or str(index),
        name=read_text(raw, "name", prefix) or read_text(raw, "comment", prefix),
        keys=keys,
        secondary_keys=_read_keys(raw, "secondary_keys", prefix),
        selective=read_flag(raw, "selective", prefix, default=False),
        content=content,
        decorators=decorators,
        enabled=read_flag(raw, "enabled", prefix, default=True),
        insertion_order=order,
        case_sensitive=case_sensitive,
        use_regex=use_regex,
        constant=constant,
        priority=order if priority is None else priority,
        position=AFTER_CHAR if raw.get("position") == AFTER_CHAR else BEFORE_CHAR,
        extensions=extensions,
    )


def _read_keys(raw: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
    keys = tuple(text for text in read_texts(raw, key, path, commas=True) if text.strip())
    if len(keys) > MAX_KEYS:
        raise too_many(f"{path}{key}", len(keys), MAX_KEYS)
    for index, text in enumerate(keys):
        if len(text) > MAX_KEY_LENGTH:
            raise CardError(
                CardErrorCode.BAD_FIELD,
                f"is {len(text)} characters long, and the limit is {MAX_KEY_LENGTH}; "
                "use several shorter keys",
                key=f"{path}{key}[{index}]",
            )
    return keys


def _read_sillytavern_keys(
    keys: tuple[str, ...], *, constant: bool
) -> tuple[bool, tuple[str, ...]]:
    """Tell patterns from words as SillyTavern does: a pattern stands between slashes.

    It says ``use_regex`` of every entry that it exports, and V3 has a regular expression ignore
    ``constant``; both would change what the entry meant.
    """
    patterns = [_DELIMITED.fullmatch(key) is not None for key in keys]
    if constant or not any(patterns):
        return False, keys
    return True, tuple(
        key if is_pattern else re.escape(key)
        for key, is_pattern in zip(keys, patterns, strict=True)
    )


def _read_sillytavern_place(
    extensions: Mapping[str, Any], path: str, decorators: tuple[Decorator, ...]
) -> list[Decorator]:
    """Say in V3's words where SillyTavern puts an entry between the messages."""
    named = {decorator.name for decorator in decorators}
    found: dict[str, str] = {}
    prefix = f"{path}extensions."
    if read_number(extensions, "position", prefix) == _AT_DEPTH:
        depth = read_number(extensions, "depth", prefix)
        found["depth"] = str(_AT_DEPTH if depth is None else depth)
        role = read_number(extensions, "role", prefix)
        found["role"] = _ROLES.get(role or 0, "system")
    scan_depth = read_number(extensions, "scan_depth", prefix)
    if scan_depth is not None:
        found["scan_depth"] = str(scan_depth)
    return [Decorator(name=name, value=value) for name, value in found.items() if name not in named]


def _with_unique_ids(entries: Iterable[LoreEntry]) -> tuple[LoreEntry, ...]:
    """Give an entry whose id is taken its place in the list instead."""
    taken: set[str] = set()
    unique: list[LoreEntry] = []
    for index, entry in enumerate(entries):
        id = entry.id
        while id in taken:
            id = f"{id}#{index}"
        taken.add(id)
        unique.append(entry if id == entry.id else replace(entry, id=id))
    return tuple(unique)
