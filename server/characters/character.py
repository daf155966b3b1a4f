"""Who speaks: a character's words about itself, its model and its ways of sampling.

What a session makes of them is ``server.characters.persona``'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from server.cards.card import Card
from server.cards.lorebook import Lorebook
from server.characters.picture import Picture
from server.protocol.character_objects import LocalizedText

VRM_EXPRESSIONS = ("happy", "angry", "sad", "relaxed", "surprised", "neutral")
"""The faces that every VRM avatar has; a character has them unless it says otherwise."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """One character, complete; nothing in it changes while the server runs.

    Attributes:
        id: The name in ``model``; lower case letters, digits, ``-``, ``_`` and ``.``.
        name: Shown to people.
        description: One sentence for people.
        greeting: The first thing it says when nobody has spoken; may hold expression tags.
        greetings: Others that may be said in its place.
        group_greetings: For rooms of several, before all others.
        prompt: The persona, as system text for the model; empty where a card describes it.
        main_prompt: What stands before a card's description where the card does not say; ``None``
            for a usual sentence.
        post_history: Instructions that are read behind what was said.
        books: What it knows.
        card: What it was made of; ``None`` for a character of this server's own kind.
        picture: To be shown to people.
        tags: The creator's, for people.
        model: The engine it was made for, by name; it speaks through any, and the log says once
            at start when that is another. ``None`` when it was made for none.
        expressions: Faces that its tags may name, in the order of the file; none switches them
            off.
        motions: Motions that they may name.
        sampling: Defaults under their wire names, already checked.
        max_output_tokens: Longest reply; ``None`` for as long as the context allows.
        avatar: How a page may draw it: ``hair``, ``eyes``, ``skin``, ``accent``, ``style``.
    """

    id: str
    name: LocalizedText
    description: LocalizedText = field(default_factory=lambda: LocalizedText(en=""))
    greeting: LocalizedText = field(default_factory=lambda: LocalizedText(en=""))
    greetings: tuple[LocalizedText, ...] = ()
    group_greetings: tuple[LocalizedText, ...] = ()
    prompt: str = ""
    main_prompt: str | None = None
    post_history: str = ""
    books: tuple[Lorebook, ...] = ()
    card: Card | None = None
    picture: Picture | None = None
    tags: tuple[str, ...] = ()
    model: str | None = None
    expressions: tuple[str, ...] = ()
    motions: tuple[str, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=_nothing)
    max_output_tokens: int | None = None
    avatar: Mapping[str, str] = field(default_factory=_nothing)

    @classmethod
    def from_prompt(cls, id: str, text: str) -> Character:
        """Make a character of nothing but a system prompt."""
        return cls(id=id, name=LocalizedText(en=id), prompt=text, expressions=VRM_EXPRESSIONS)
