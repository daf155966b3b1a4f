"""What a model reads of a character, and in which order: stable from the front.

::

    system prompt · lore before · description · personality · scenario · lore behind · examples

Only lore that is always there stands in the head. Macros are filled in once per session, so that
the head is the same in every turn; where no name is given and nothing is left to chance, it is the
same in every session, and all of them share its KV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from server.cards.card import Card
from server.cards.examples import split_examples
from server.cards.lorebook import Lorebook, LoreEntry
from server.cards.macros import MacroContext, expand
from server.characters.character import Character
from server.protocol.character_objects import LocalizedText

USUAL_USER = "User"
MAIN_PROMPT = (
    "You are {{char}}. Stay in character and talk with {{user}}. "
    "Write only what {{char}} says and does."
)
"""Where a card brings no system prompt, and what its ``{{original}}`` stands for."""
GROUP_PROMPT = (
    "Several characters talk with {{user}}: {{char}}. One of them speaks at a time, and you are "
    "told who. Write only what that one says and does."
)
_NOT_CONSTANT = frozenset(
    ("dont_activate", "activate_only_after", "activate_only_every", "is_greeting")
)
"""Decorators with which an entry is not always there, whatever it says of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """A character as one session reads it: macros filled in, nothing random left.

    Attributes:
        name: The character's.
        head: System text for the model.
        post_history: What it reads behind the conversation; empty for most.
        greetings: To choose from, tags and all.
        books: What comes up when it is spoken of.
    """

    name: str = ""
    head: str = ""
    post_history: str = ""
    greetings: tuple[LocalizedText, ...] = ()
    books: tuple[Lorebook, ...] = ()


def read_persona(character: Character, *, user_name: str = "", seed: int = 0) -> Persona:
    """Read one character.

    Args:
        character: Of a card, or with a prompt of its own.
        user_name: What ``{{user}}`` stands for; empty for a usual word.
        seed: Of chance.
    """
    card = character.card
    context = _context(character, user_name, seed)
    if card is None:
        greeting = character.greeting
        return Persona(
            name=character.name.en,
            head=expand(character.prompt, context),
            greetings=(_expand(greeting, context),) if greeting.en or greeting.ja else (),
        )
    main = expand(MAIN_PROMPT, context)
    system = expand(card.text("system_prompt"), replace(context, original=main)).strip()
    return Persona(
        name=card.char_name,
        head=_join(system or main, _describe(card, context)),
        post_history=_post_history(card, context),
        greetings=_greetings(card.greetings, context),
        books=_books(card, context),
    )


def read_group(characters: Sequence[Character], *, user_name: str = "", seed: int = 0) -> Persona:
    """Read everybody in a room: each one's card is there, whoever speaks.

    Args:
        characters: At least one, in the order in which they are described.
        user_name: See ``read_persona``.
        seed: Likewise.
    """
    alone = [read_persona(one, user_name=user_name, seed=seed) for one in characters]
    everybody = MacroContext(
        char=", ".join(persona.name for persona in alone),
        user=user_name or USUAL_USER,
        seed=seed,
    )
    parts = [expand(GROUP_PROMPT, everybody)]
    greetings: list[LocalizedText] = []
    for character, persona in zip(characters, alone, strict=True):
        context = _context(character, user_name, seed)
        card = character.card
        about = persona.head if card is None else _describe(card, context)
        parts.append(f"# {persona.name}\n\n{about}")
        if card is not None:
            greetings += _greetings(card.group_greetings, context)
    return Persona(
        name=everybody.char,
        head="\n\n".join(parts),
        post_history=alone[0].post_history,
        greetings=(*greetings, *alone[0].greetings),
        books=tuple(book for persona in alone for book in persona.books),
    )


def _context(character: Character, user_name: str, seed: int) -> MacroContext:
    name = character.card.char_name if character.card else character.name.en
    return MacroContext(char=name, user=user_name or USUAL_USER, seed=seed)


def _describe(card: Card, context: MacroContext) -> str:
    """All of a card that is always there, but for its system prompt."""

    def field(name: str, title: str = "") -> str:
        text = expand(card.text(name), context).strip()
        return f"{title}{text}" if text else ""

    return _join(
        _constant(card, context, "before_char"),
        field("description"),
        field("personality", f"{context.char}'s personality: "),
        field("scenario", "Scenario: "),
        _constant(card, context, "after_char"),
        _examples(card, context),
    )


def _constant(card: Card, context: MacroContext, position: str) -> str:
    entries = [
        entry
        for entry in (card.book.entries if card.book else ())
        if is_constant(entry) and entry.position == position
    ]
    entries.sort(key=lambda entry: entry.insertion_order)
    return "\n".join(expand(entry.content, context).strip() for entry in entries)


def is_constant(entry: LoreEntry) -> bool:
    """Whether an entry stands in the head."""
    names = {decorator.name for decorator in entry.decorators}
    return entry.enabled and entry.constant and not names & _NOT_CONSTANT


def _examples(card: Card, context: MacroContext) -> str:
    text = expand(card.text("mes_example"), context)
    dialogues = split_examples(text, char=context.char, user=context.user)
    blocks = [
        "\n".join(
            f"{context.user if line.is_user else context.char}: {line.text}" for line in lines
        )
        for lines in dialogues
    ]
    if not blocks:
        return ""
    return "How " + context.char + " talks, by example:\n\n" + "\n\n".join(blocks)


def _post_history(card: Card, context: MacroContext) -> str:
    text = card.text("post_history_instructions")
    return expand(text, replace(context, original="")).strip()


def _greetings(texts: Sequence[str], context: MacroContext) -> tuple[LocalizedText, ...]:
    return tuple(LocalizedText(en=expand(text, context).strip()) for text in texts if text.strip())


def _books(card: Card, context: MacroContext) -> tuple[Lorebook, ...]:
    """Its book without what stands in the head; keys, too, may hold names."""
    if card.book is None:
        return ()
    entries = tuple(
        replace(
            entry,
            content=expand(entry.content, context),
            keys=tuple(expand(key, context) for key in entry.keys),
            secondary_keys=tuple(expand(key, context) for key in entry.secondary_keys),
        )
        for entry in card.book.entries
        if not is_constant(entry)
    )
    return (replace(card.book, entries=entries),) if entries else ()


def _expand(text: LocalizedText, context: MacroContext) -> LocalizedText:
    japanese = None if text.ja is None else expand(text.ja, context)
    return LocalizedText(en=expand(text.en, context), ja=japanese)


def _join(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
