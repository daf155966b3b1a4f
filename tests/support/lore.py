"""Lorebooks for tests, said briefly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.chat_template import ChatMessage
from server.cards.lorebook import Decorator, Lorebook, LoreEntry
from server.lore.scene import Scene


def decorate(*lines: str) -> tuple[Decorator, ...]:
    """Decorators from ``"name value"``; those that begin with ``@`` are fallbacks."""
    made: list[Decorator] = []
    for line in lines:
        name, _, value = line.removeprefix("@").partition(" ")
        if line.startswith("@"):
            last = made.pop()
            fallbacks = (*last.fallbacks, Decorator(name=name, value=value))
            made.append(Decorator(name=last.name, value=last.value, fallbacks=fallbacks))
        else:
            made.append(Decorator(name=name, value=value))
    return tuple(made)


def entry(content: str, *keys: str, lines: Sequence[str] = (), **fields: Any) -> LoreEntry:
    """An entry; ``lines`` are its decorators, extensions and others come by name."""
    usual: dict[str, Any] = {
        "id": content[:12],
        "name": "",
        "keys": keys,
        "secondary_keys": (),
        "selective": bool(fields.get("secondary_keys")),
        "content": content,
        "decorators": decorate(*lines),
        "enabled": True,
        "insertion_order": 100,
        "case_sensitive": False,
        "use_regex": False,
        "constant": False,
        "priority": 0,
        "position": "before_char",
        "extensions": {},
    }
    return LoreEntry(**{**usual, **fields})


def book(*entries: LoreEntry, **fields: Any) -> Lorebook:
    """A book of them."""
    usual: dict[str, Any] = {
        "name": "",
        "description": "",
        "scan_depth": None,
        "token_budget": None,
        "recursive_scanning": False,
        "extensions": {},
    }
    return Lorebook(**{**usual, **fields}, entries=entries)


def scene(*words: str, turn: int = 1, **fields: Any) -> Scene:
    """A turn in which the words alternate, the user's last."""
    roles = ["user" if n % 2 == 0 else "assistant" for n in range(len(words))][::-1]
    said = [ChatMessage(role, text) for role, text in zip(roles, words, strict=True)]  # type: ignore[arg-type]
    usual: dict[str, Any] = {"item_id": f"i{turn}", "standing": (), "num_replies": turn - 1}
    return Scene(said=said, turn=turn, **{**usual, **fields})
