"""Character cards for tests, said briefly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from server.cards.card import Card
from server.cards.png import draw_png, read_png, write_png
from server.cards.read import read_card
from server.cards.write import write_card


def card_raw(name: str = "Mika", **data: Any) -> dict[str, Any]:
    """A V3 card's JSON; what is not named is empty."""
    texts = (
        *("description", "personality", "scenario", "first_mes", "mes_example", "creator_notes"),
        *("system_prompt", "post_history_instructions", "creator", "character_version"),
    )
    empty: dict[str, Any] = {**dict.fromkeys(texts, ""), "name": name, "extensions": {}}
    lists: dict[str, Any] = {"alternate_greetings": [], "group_only_greetings": [], "tags": []}
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": {**empty, **lists, **data}}


def card_json(name: str = "Mika", **data: Any) -> bytes:
    """The same as a file."""
    return json.dumps(card_raw(name, **data), ensure_ascii=False).encode()


def card_png(name: str = "Mika", **data: Any) -> bytes:
    """The same in a picture of 16 by 16 pixels."""
    pictured = replace(make_card(name, **data), picture=read_png(picture()), container="png")
    return write_card(pictured, "png")


def make_card(name: str = "Mika", **data: Any) -> Card:
    """The same as it is read."""
    return read_card(card_json(name, **data), file="mika.json")


def entry(content: str, *keys: str, **fields: Any) -> dict[str, Any]:
    """A lore entry's JSON."""
    return {
        "keys": list(keys),
        "content": content,
        "extensions": {},
        "enabled": True,
        "insertion_order": 0,
        "use_regex": False,
        "constant": False,
        **fields,
    }


def book(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A lorebook's JSON."""
    return {"entries": list(entries), "extensions": {}, **fields}


def picture(width: int = 16, height: int = 16) -> bytes:
    """A PNG of one colour."""
    return write_png(draw_png(b"kaiwa", width=width, height=height))
