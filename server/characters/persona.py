"""A character as one session reads it: which words, in which order, the same at every turn.

The head comes first in every prompt, so all who talk to a character share what the model has
computed of it. It holds only what stays: the main prompt, what describes the character, lore that
always holds, and examples. What the user is called is part of it; where nobody has said it, all are
called the same. What chance decides is decided by the seed, once.

A card's fields stand in it in the order in which other programs put them (Character Card V2 and
V3): ``system_prompt`` or a usual sentence, lore before the character, description, personality,
scenario, lore after the character, examples. Notes of the creator, tags and the like are for people
and are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from server.cards.card import PROMPT_TEXTS
from server.cards.examples import split_examples
from server.cards.lorebook import Lorebook, LoreEntry
from server.cards.macros import MacroContext, expand, hidden_keys
from server.characters.character import Character
from server.characters.kept import Kept
from server.lore.rules import stands_in_head
from server.protocol.character_objects import LocalizedText

DEFAULT_USER_NAME = "User"
MAIN_PROMPT = (
    "You are {{char}}, talking with {{user}}. Write only what {{char}} says and does next."
)
"""Where a card has no ``system_prompt`` of its own, and in the place of its ``{{original}}``."""
GROUP_PROMPT = (
    "This is a conversation of {user} with {names}, who are described below. One of them speaks at "
    "a time, for nobody else. You are told who it is."
)
MAX_KEPT_CHARACTERS = 16_000_000
"""Of text, in personas that are kept after they were read."""

_LEAST_LENGTH = 2_000
"""What a persona counts for beside its texts, so that their number is bounded too."""
_CHANCE = re.compile(r"\{\{\s*(?:random|pick|roll)", re.IGNORECASE)
_CHAR = re.compile(r"\{\{\s*(?:char|bot)\s*\}\}|<(?:bot|char)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """A character, or a room of several, as one session reads it.

    Attributes:
        name: What it is called; of a room, all names.
        head: What the model reads first.
        post_history: Instructions behind what was said; empty for none.
        greetings: To choose from, the usual one first.
        books: What may come up; entries that stand in the head are not in them. Their macros are
            still as they were written: ``fill`` puts the values in.
        hidden: Keys that are found but not read, of the head.
        context: What macros stand for.
    """

    name: str
    head: str
    post_history: str
    greetings: tuple[LocalizedText, ...]
    books: tuple[Lorebook, ...]
    hidden: tuple[str, ...] = ()
    context: MacroContext = MacroContext()

    def fill(self, text: str) -> str:
        """Put values in for the macros of a text of the card."""
        return expand(text, self.context)


def read_persona(character: Character, *, user_name: str = "", seed: int = 0) -> Persona:
    """Read one character; the same arguments give the same persona.

    Args:
        character: Not changed.
        user_name: What ``{{user}}`` stands for; empty for a usual word.
        seed: Of what the card leaves to chance.
    """
    return _read_once((character,), user_name, seed)


def read_greetings(character: Character, *, user_name: str = "") -> Iterator[LocalizedText]:
    """Read what a character may say first, one by one; as ``read_persona`` has it."""
    sheet = _Sheet(character, user_name or DEFAULT_USER_NAME, 0)
    return sheet.filled(sheet.usual_greetings)


def read_group(characters: Sequence[Character], *, user_name: str = "", seed: int = 0) -> Persona:
    """Read a room of several: all stand in one head, in this order, whoever speaks.

    Args:
        characters: At least one; one alone is no room.
        user_name: See ``read_persona``.
        seed: Likewise.
    """
    return _read_once(tuple(characters), user_name, seed)


def _read_once(characters: tuple[Character, ...], user_name: str, seed: int) -> Persona:
    """Where nothing is left to chance, sessions share what was read, and all that hangs on it."""
    is_fixed = not any(_CHANCE.search(text) for one in characters for text in _texts(one))
    return _read(_Same(characters), user_name or DEFAULT_USER_NAME, 0 if is_fixed else seed)


def _texts(one: Character) -> Iterator[str]:
    """All in which a macro may stand."""
    yield from (one.prompt, one.post_history)
    for greeting in (one.greeting, *one.greetings, *one.group_greetings):
        yield from (greeting.en, greeting.ja or "")
    for book in one.books:
        yield from (entry.content for entry in book.entries)
    if one.card is not None:
        yield from (one.card.text(name) for name in PROMPT_TEXTS)


class _Same:
    """Characters that are the same only if they are the very same objects."""

    __slots__ = ("characters",)

    def __init__(self, characters: tuple[Character, ...]) -> None:
        self.characters = characters

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Same)
            and len(self.characters) == len(other.characters)
            and all(a is b for a, b in zip(self.characters, other.characters, strict=True))
        )

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.characters)))


def _read(same: _Same, user_name: str, seed: int) -> Persona:
    """Sessions ask for the same again and again, and a card is long."""
    key = (same, user_name, seed)
    persona = _kept.get(key)
    if persona is None:
        sheets = [_Sheet(one, user_name, seed) for one in same.characters]
        persona = sheets[0].read() if len(sheets) == 1 else _read_room(sheets, user_name)
        _kept.put(key, persona, _length(persona))
    return persona


_kept: Kept[tuple[_Same, str, int], Persona] = Kept(MAX_KEPT_CHARACTERS)


def _length(persona: Persona) -> int:
    """Characters of what was written for it; books are the card's own, but for a room's."""
    spoken = sum(len(one.en) + len(one.ja or "") for one in persona.greetings)
    books = sum(len(one.content) for book in persona.books for one in book.entries)
    return _LEAST_LENGTH + len(persona.head) + len(persona.post_history) + spoken + books


def _read_room(sheets: Sequence[_Sheet], user_name: str) -> Persona:
    names = [sheet.name for sheet in sheets]
    told = GROUP_PROMPT.format(user=user_name, names=_listed(names))
    blocks = [
        f"# {sheet.name}\n{_joined(sheet.parts(is_alone=False))}".rstrip() for sheet in sheets
    ]
    orders = [(sheet.name, sheet.post_history()) for sheet in sheets]
    first = sheets[0]
    return Persona(
        name=_listed(names),
        head=_joined([told, *blocks]),
        post_history="\n".join(f"{name}: {text}" for name, text in orders if text),
        greetings=tuple(first.filled([*first.character.group_greetings, *first.usual_greetings])),
        books=tuple(_named(book, sheet.name) for sheet in sheets for book in sheet.books()),
        hidden=tuple(key for sheet in sheets for key in sheet.hidden()),
        context=first.context,
    )


class _Sheet:
    """One character's fields, with values for its macros."""

    def __init__(self, character: Character, user_name: str, seed: int) -> None:
        self.character = character
        card = character.card
        self.name = card.char_name if card is not None else character.name.en
        self.context = MacroContext(char=self.name, user=user_name, seed=seed)

    def read(self) -> Persona:
        return Persona(
            name=self.name,
            head=_joined(self.parts()),
            post_history=self.post_history(),
            greetings=tuple(self.filled(self.usual_greetings)),
            books=tuple(self.books()),
            hidden=tuple(self.hidden()),
            context=self.context,
        )

    @property
    def usual_greetings(self) -> list[LocalizedText]:
        return [self.character.greeting, *self.character.greetings]

    def parts(self, *, is_alone: bool = True) -> Iterator[str]:
        """What the head holds, in order."""
        yield self._main(is_alone)
        yield from self._lore("before_char")
        yield self._text("description")
        for name, words in (
            ("personality", f"{self.name}'s personality"),
            ("scenario", "Scenario"),
        ):
            text = self._text(name)
            yield f"{words}: {text}" if text else ""
        yield from self._lore("after_char")
        yield self._examples()

    def post_history(self) -> str:
        return self._fill(self.character.post_history, original="")

    def filled(self, greetings: Iterable[LocalizedText]) -> Iterator[LocalizedText]:
        """Greetings that say something."""
        for greeting in greetings:
            if greeting.en.strip() or greeting.ja:
                ja = None if greeting.ja is None else self._fill(greeting.ja)
                yield LocalizedText(en=self._fill(greeting.en), ja=ja)

    def books(self) -> Iterator[Lorebook]:
        """What is left of the books when the head is made."""
        for book in self.character.books:
            entries = tuple(entry for entry in book.entries if not stands_in_head(entry))
            if entries:
                yield replace(book, entries=entries)

    def hidden(self) -> Iterator[str]:
        card = self.character.card
        fields = ("system_prompt", "description", "personality", "scenario", "mes_example")
        texts = [self.character.prompt] if card is None else [card.text(name) for name in fields]
        constants = [entry.content for entry in self._constants()]
        for text in (*texts, *constants):
            yield from hidden_keys(text)

    def _main(self, is_alone: bool) -> str:
        character, card = self.character, self.character.card
        if card is None:
            return self._fill(character.prompt)
        usual = MAIN_PROMPT if character.main_prompt is None else character.main_prompt
        usual = expand(usual, self.context) if is_alone else ""
        return self._fill(card.text("system_prompt"), original=usual).strip() or usual.strip()

    def _text(self, name: str) -> str:
        card = self.character.card
        return "" if card is None else self._fill(card.text(name)).strip()

    def _constants(self) -> list[LoreEntry]:
        entries = [entry for book in self.character.books for entry in book.entries]
        return sorted(filter(stands_in_head, entries), key=lambda entry: entry.insertion_order)

    def _lore(self, position: str) -> Iterator[str]:
        for entry in self._constants():
            if entry.position == position:
                yield self._fill(entry.content).strip()

    def _examples(self) -> str:
        card, user = self.character.card, self.context.user
        dialogues = [] if card is None else split_examples(card.mes_example, self.context)
        blocks = [
            "\n".join(
                [
                    "<START>",
                    *(f"{user if one.role == 'user' else self.name}: {one.text}" for one in lines),
                ]
            )
            for lines in dialogues
        ]
        return "\n".join([f"Examples of how {self.name} talks:", *blocks]) if blocks else ""

    def _fill(self, text: str, *, original: str | None = None) -> str:
        if self.character.card is None and "{{" not in text:
            return text  # as its author wrote it, angle brackets and all
        return expand(text, replace(self.context, original=original))


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _named(book: Lorebook, name: str) -> Lorebook:
    """Say whose book it is: in a room, ``{{char}}`` is the one whose card holds it."""

    def fill(text: str) -> str:
        return _CHAR.sub(lambda _: name, text)

    entries = tuple(
        replace(
            entry,
            content=fill(entry.content),
            keys=tuple(map(fill, entry.keys)),
            secondary_keys=tuple(map(fill, entry.secondary_keys)),
        )
        for entry in book.entries
    )
    return replace(book, entries=entries)
