"""When an entry comes up: its fields, its decorators and SillyTavern's extensions as one record.

Numbers and switches come from cards, which anybody writes: what cannot be read is as if it were not
there. ``extensions`` are those of SillyTavern's World Info (``probability``, ``selectiveLogic``,
``sticky``, ``group`` …), and count its way: ``sticky``, ``cooldown`` and ``delay`` in messages.
A decorator goes before the extension of the same meaning.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from server.cards.lorebook import LoreEntry
from server.lore.decorators import effective, list_of, number_of
from server.lore.keys import KeyStyle

_MOST = 10**6


class Logic(enum.IntEnum):
    """What secondary keys have to do with it, as ``selectiveLogic`` says."""

    AND_ANY = 0
    NOT_ALL = 1
    NOT_ANY = 2
    AND_ALL = 3

    def holds(self, found: list[bool]) -> bool:
        """Whether an entry may come up, by which secondary keys were said."""
        match self:
            case Logic.AND_ANY:
                return any(found)
            case Logic.NOT_ALL:
                return not all(found)
            case Logic.NOT_ANY:
                return not any(found)
            case Logic.AND_ALL:
                return all(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one entry asks for.

    Attributes:
        is_certain: It comes up whatever is said.
        is_free: It needs no key.
        is_off: It never comes up.
        style: How its keys are read, and the additional ones.
        plain_style: How secondary and excluded keys are read.
        secondary_keys: Those that count.
        logic: How they count.
        additional: Lists of keys; one of each has to be said too.
        excluded: Keys of which none may be said.
        scan_depth: Messages that are searched; ``None`` for the book's.
        after: Replies before which it stays away.
        every: It comes up where the number of replies is a multiple.
        greeting: Index of the only greeting under which it comes up; ``None`` for any.
        keeps: Once matched it needs no key any more.
        is_once: It comes up only once.
        probability: Between 0 and 1.
        sticky: Messages for which it needs no key after a match.
        cooldown: Messages for which it stays away after that.
        delay: Messages of the conversation before which it stays away.
        groups: Of each only one member comes up at a time.
        group_weight: Its chance among them.
        leads_group: It comes up before them.
        ignores_recursion: Only what was said wakes it, not other entries.
        stops_recursion: It wakes no others.
        recursion_level: Only other entries wake it, from this round on; 0 for what was said too.
        ignores_budget: It comes up however little is left.
        goes_first: It is left out before all others.
    """

    is_certain: bool
    is_free: bool
    is_off: bool
    style: KeyStyle
    plain_style: KeyStyle
    secondary_keys: tuple[str, ...]
    logic: Logic
    additional: tuple[tuple[str, ...], ...]
    excluded: tuple[str, ...]
    scan_depth: int | None
    after: int
    every: int
    greeting: int | None
    keeps: bool
    is_once: bool
    probability: float
    sticky: int
    cooldown: int
    delay: int
    groups: tuple[str, ...]
    group_weight: float
    leads_group: bool
    ignores_recursion: bool
    stops_recursion: bool
    recursion_level: int
    ignores_budget: bool
    goes_first: bool

    @property
    def has_conditions(self) -> bool:
        """Whether there are times at which it stays away, whatever is said."""
        return bool(
            self.is_off
            or self.additional
            or self.excluded
            or self.after
            or self.every > 1
            or self.greeting is not None
            or self.is_once
            or self.probability < 1
            or self.delay
            or self.groups
        )


def rules_of(entry: LoreEntry) -> Rules:
    """Read what an entry asks for."""
    extensions = entry.extensions
    chosen = effective(entry.decorators)
    numbers = {one.name: one for one in chosen}

    def number(name: str) -> int | None:
        return number_of(numbers[name]) if name in numbers else None

    def listed(name: str) -> tuple[tuple[str, ...], ...]:
        return tuple(list_of(one) for one in chosen if one.name == name)

    depth = number("scan_depth")
    activates = "activate" in numbers
    plain = KeyStyle(
        case_sensitive=entry.case_sensitive,
        whole_words=extensions.get("match_whole_words") is not False,
    )
    # V3 has an entry of patterns ignore them; SillyTavern does not know that.
    has_secondary = entry.selective and (not entry.use_regex or "selectiveLogic" in extensions)
    has_chance = extensions.get("useProbability", extensions.get("use_probability", True))
    return Rules(
        is_certain=activates,
        is_free=entry.constant,
        is_off=not entry.enabled
        or not entry.content.strip()
        or ("dont_activate" in numbers and not activates),
        style=replace(plain, is_regex=entry.use_regex),
        plain_style=plain,
        secondary_keys=entry.secondary_keys if has_secondary else (),
        logic=_logic(extensions),
        additional=listed("additional_keys"),
        excluded=() if entry.use_regex else sum(listed("exclude_keys"), ()),
        scan_depth=_whole(extensions, "scan_depth", None) if depth is None else depth,
        after=number("activate_only_after") or 0,
        every=number("activate_only_every") or 1,
        greeting=number("is_greeting"),
        keeps="keep_activate_after_match" in numbers,
        is_once="dont_activate_after_match" in numbers,
        probability=_number(extensions, "probability", 100.0) / 100 if has_chance else 1.0,
        sticky=_whole(extensions, "sticky", 0) or 0,
        cooldown=_whole(extensions, "cooldown", 0) or 0,
        delay=_whole(extensions, "delay", 0) or 0,
        groups=_names(extensions.get("group")),
        group_weight=max(_number(extensions, "group_weight", 100.0), 0.0),
        leads_group=extensions.get("group_override") is True,
        ignores_recursion=extensions.get("exclude_recursion") is True,
        stops_recursion=extensions.get("prevent_recursion") is True,
        recursion_level=_whole(extensions, "delay_until_recursion", 0) or 0,
        ignores_budget=extensions.get("ignore_budget") is True,
        goes_first="ignore_on_max_context" in numbers,
    )


def stands_in_head(entry: LoreEntry) -> bool:
    """Whether an entry is part of a character's head for good, and so never woken.

    A constant entry is, unless something can forbid it at times (``Rules.has_conditions``).
    """
    return entry.constant and entry.enabled and not rules_of(entry).has_conditions


def _logic(extensions: Mapping[str, object]) -> Logic:
    value = _whole(extensions, "selectiveLogic", 0) or 0
    return Logic(value) if value <= max(Logic) else Logic.AND_ANY


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, str):
        return ()
    return tuple(name for part in value.split(",") if (name := part.strip()))


def _number(extensions: Mapping[str, object], name: str, default: float) -> float:
    value = extensions.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return default
    return float(min(max(value, 0), _MOST))


def _whole(extensions: Mapping[str, object], name: str, default: int | None) -> int | None:
    """A count; ``true`` is 1."""
    value = extensions.get(name)
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int | float) or value != value:
        return default
    return int(min(max(value, 0), _MOST))
