"""What becomes of an entry's decorators (Character Card V3) where a prompt only grows.

A decorator that decides *whether* an entry comes up is honoured. One that says *where* it stands is
not, in general: it would move text that has been read already. An entry stands in a note behind the
user's message that woke it, as system text, which is what ``@@depth 0`` asks for; any other depth
is taken for it. What is only preserved takes part in nothing but the card's export, and its
fallbacks (``@@@``) count instead. Of several decorators of a name the first counts, but for
``additional_keys``; one whose value cannot be read is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from server.cards.lorebook import Decorator

Treatment = Literal["honoured", "approximated", "preserved"]

HONOURED: Mapping[str, tuple[Treatment, str]] = {
    "activate": ("honoured", "comes up with the next user message"),
    "dont_activate": ("honoured", "never comes up, unless activate is there"),
    "activate_only_after": ("honoured", "not before so many replies, the greeting among them"),
    "activate_only_every": ("honoured", "only where the number of replies is a multiple"),
    "keep_activate_after_match": ("honoured", "comes up again once its note has left the context"),
    "dont_activate_after_match": ("honoured", "comes up once"),
    "scan_depth": ("honoured", "so many of the newest messages are searched"),
    "additional_keys": ("honoured", "one of each list has to be said too"),
    "exclude_keys": ("honoured", "none of them may be said"),
    "is_greeting": ("honoured", "only under this greeting; nothing where it is not known"),
    "ignore_on_max_context": ("approximated", "is left out first where the budget is short"),
    "role": ("approximated", "system as it is; for others it is system text all the same"),
    "depth": ("approximated", "0 as it is; any other stands behind the newest message too"),
    "reverse_depth": ("approximated", "stands behind the newest message"),
    "position": ("preserved", "woken entries never stand in the head"),
    "instruct_depth": ("preserved", "of prompts that are no chat"),
    "reverse_instruct_depth": ("preserved", "of prompts that are no chat"),
    "instruct_scan_depth": ("preserved", "of prompts that are no chat"),
    "is_user_icon": ("preserved", "users have no icons here"),
    "disable_ui_prompt": ("preserved", "post-history instructions are the card's own"),
}
"""By name: how it is treated, and what that means. What is not here is preserved."""

_NO_VALUE = frozenset(
    ("activate", "dont_activate", "keep_activate_after_match", "dont_activate_after_match")
    + ("ignore_on_max_context",)
)
_LISTS = frozenset(("additional_keys", "exclude_keys"))
_ROLES = ("system", "user", "assistant")
_MOST = 10**9
_MAX_FALLBACKS = 16
"""Of one decorator; the specification asks for 5 at least."""


def effective(decorators: Iterable[Decorator]) -> list[Decorator]:
    """Choose what counts: each decorator that is understood, or its first fallback that is."""
    chosen: list[Decorator] = []
    names: set[str] = set()
    for decorator in decorators:
        found = next((one for one in _chain(decorator) if _is_understood(one)), None)
        if found is None or (found.name in names and found.name != "additional_keys"):
            continue
        names.add(found.name)
        chosen.append(found)
    return chosen


def number_of(decorator: Decorator) -> int:
    """The whole number that an understood decorator holds."""
    return min(int(float(decorator.value)), _MOST)


def list_of(decorator: Decorator) -> tuple[str, ...]:
    """The texts between its commas."""
    return tuple(text for part in decorator.value.split(",") if (text := part.strip()))


def _chain(decorator: Decorator) -> Iterator[Decorator]:
    """The decorator, then what may stand in for it."""
    waiting, count = [decorator], 0
    while waiting and count <= _MAX_FALLBACKS:
        one = waiting.pop(0)
        count += 1
        yield one
        waiting = [*one.fallbacks, *waiting]


def _is_understood(decorator: Decorator) -> bool:
    treatment, _ = HONOURED.get(decorator.name, ("preserved", ""))
    if treatment == "preserved":
        return False
    if decorator.name in _NO_VALUE:
        return True
    if decorator.name == "role":
        return decorator.value in _ROLES
    if decorator.name in _LISTS:
        return bool(list_of(decorator))
    try:
        return 0 <= float(decorator.value) < float("inf")
    except ValueError:
        return False
