"""Events of a made-up wire, for journals and outboxes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from server.resume.entries import EventRules


@dataclass
class Said:
    """A text delta when ``item`` is set, else some other event.

    Attributes:
        text: What it says.
        item: Whose text it is.
        about: The item that another event speaks of.
        is_end: Whether a client waits for it.
        is_greeting: Whether it is for one socket.
        announces: Whether a client knows of the item by it.
    """

    text: str
    item: str | None = None
    about: str | None = None
    is_end: bool = False
    is_greeting: bool = False
    announces: bool = False


def _text(event: Said) -> tuple[Hashable, str] | None:
    return None if event.item is None else (event.item, event.text)


def _rename(payload: bytes, before: str, after: str) -> bytes:
    return payload.replace(f"{before}:".encode(), f"{after}:".encode(), 1)


def _items(event: Said) -> tuple[str, ...]:
    item = event.item or event.about
    return () if item is None else (item,)


def make_rules() -> EventRules[Said]:
    """Rules by which an event is written as ``number:text``."""
    return EventRules(
        name=str,
        encode=lambda event, name: f"{name}:{event.text}".encode("utf-8", "surrogatepass"),
        rename=_rename,
        text=_text,
        with_text=lambda event, text: replace(event, text=text),
        items=_items,
        announces=lambda event: event.announces,
        is_end=lambda event: event.is_end,
        is_greeting=lambda event: event.is_greeting,
    )
