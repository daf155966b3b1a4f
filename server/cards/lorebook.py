"""What a character knows, entry by entry, as a lorebook of a card or of its own says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Decorator:
    """A line ``@@name value`` at the top of an entry's content.

    Attributes:
        name: Without ``@@``.
        value: As it stands; empty for none.
        fallbacks: What counts instead where this one is not understood, first to last.
    """

    name: str
    value: str
    fallbacks: tuple[Decorator, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoreEntry:
    """One thing to know."""

    id: str
    name: str
    keys: tuple[str, ...]
    secondary_keys: tuple[str, ...]
    selective: bool
    content: str
    decorators: tuple[Decorator, ...]
    enabled: bool
    insertion_order: float
    case_sensitive: bool
    use_regex: bool
    constant: bool
    priority: float
    position: str
    extensions: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lorebook:
    """Things to know, in order."""

    name: str
    description: str
    scan_depth: int | None
    token_budget: int | None
    recursive_scanning: bool
    extensions: Mapping[str, object]
    entries: tuple[LoreEntry, ...]
