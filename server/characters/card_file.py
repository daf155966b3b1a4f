"""Makes a character of a card."""

from __future__ import annotations

import hashlib
import re

from server.cards.card import Card
from server.cards.macros import MacroContext, expand
from server.characters.character import VRM_EXPRESSIONS, Character
from server.protocol.character_objects import LocalizedText

_NOT_IN_IDS = re.compile(r"[^a-z0-9_.-]+")
MAX_ID = 64


def card_id(card: Card) -> str:
    """Return an id made of the card's name: its letters, or a stable one where it has none.

    Args:
        card: Checked.
    """
    slug = _NOT_IN_IDS.sub("-", card.name.lower()).strip("-._")[:MAX_ID]
    if re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", slug):
        return slug
    return f"card-{hashlib.blake2b(card.name.encode(), digest_size=4).hexdigest()}"


def character_from_card(card: Card, *, id: str) -> Character:
    """Make a character.

    Args:
        card: Checked.
        id: By which it is found.
    """
    context = MacroContext(char=card.char_name)
    greetings = card.greetings
    return Character(
        id=id,
        name=LocalizedText(en=card.char_name),
        greeting=LocalizedText(en=expand(greetings[0], context) if greetings else ""),
        expressions=VRM_EXPRESSIONS,
        card=card,
    )
