"""SillyTavern's "world info" in the words of a V3 lorebook, as its own export says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.errors import CardError, CardErrorCode

_RENAMED = {
    "key": "keys",
    "keysecondary": "secondary_keys",
    "order": "insertion_order",
    "caseSensitive": "case_sensitive",
    "uid": "id",
}
_KEPT = ("comment", "content", "constant", "selective")
_EXTENSIONS = {
    "automationId": "automation_id",
    "cooldown": "cooldown",
    "delay": "delay",
    "delayUntilRecursion": "delay_until_recursion",
    "depth": "depth",
    "displayIndex": "display_index",
    "excludeRecursion": "exclude_recursion",
    "group": "group",
    "groupOverride": "group_override",
    "groupWeight": "group_weight",
    "ignoreBudget": "ignore_budget",
    "matchWholeWords": "match_whole_words",
    "position": "position",
    "preventRecursion": "prevent_recursion",
    "probability": "probability",
    "role": "role",
    "scanDepth": "scan_depth",
    "selectiveLogic": "selectiveLogic",
    "sticky": "sticky",
    "useGroupScoring": "use_group_scoring",
    "useProbability": "useProbability",
    "vectorized": "vectorized",
}
"""What a card's entry holds in ``extensions``, some of it by other names."""


def is_world_info(raw: Mapping[str, Any]) -> bool:
    """Whether JSON is world info: its entries are an object, by uid."""
    return isinstance(raw.get("entries"), Mapping)


def to_lorebook(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Say world info as a Lorebook object.

    Args:
        raw: With ``entries`` as an object; not changed.

    Raises:
        CardError: ``card_bad_field``.
    """
    book = {name: value for name, value in raw.items() if name != "entries"}
    return {
        **book,
        "entries": [_to_entry(uid, entry) for uid, entry in raw["entries"].items()],
    }


def _to_entry(uid: str, raw: object) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise CardError(CardErrorCode.BAD_FIELD, "must be an object", key=f"entries.{uid[:80]}")
    own = raw.get("extensions")
    extensions = dict(own) if isinstance(own, Mapping) else {}
    for name, known_as in _EXTENSIONS.items():
        if raw.get(name) is not None:
            extensions[known_as] = raw[name]
    # By its presence the entry is known to be SillyTavern's.
    extensions.setdefault("selectiveLogic", 0)
    entry = {name: raw[name] for name in _KEPT if name in raw}
    entry |= {known_as: raw[name] for name, known_as in _RENAMED.items() if name in raw}
    entry.setdefault("id", uid)
    return {
        **entry,
        "enabled": not raw.get("disable"),
        "position": "before_char" if raw.get("position") in (0, None) else "after_char",
        "extensions": extensions,
    }
