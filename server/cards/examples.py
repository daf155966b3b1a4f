"""Example dialogues of a card (``mes_example``): who says what.

::

    <START>
    {{user}}: Is the sea far?       →   user        Is the sea far?
    {{char}}: *points* Down there.      assistant   *points* Down there.
    You hear it.                                    You hear it.

Names may stand for the macros. What stands before the first speaker is the character's: authors
begin so with a scene.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from server.cards.macros import MacroContext, expand

_START = re.compile(r"<START>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """Something that is said in an example.

    Attributes:
        role: Who says it.
        text: With macros filled in; may hold line ends.
    """

    role: Literal["user", "assistant"]
    text: str


def split_examples(mes_example: str, context: MacroContext) -> list[list[Line]]:
    """Take example dialogues apart; those without a word are left out.

    Args:
        mes_example: As the card has it.
        context: Names and chance, for macros.
    """
    speaker = re.compile(
        rf"^[ \t]*(?:({_any_of('user', context.user)})|({_any_of('char', context.char)}))"
        r"[ \t]*[:\uff1a]",
        re.IGNORECASE | re.MULTILINE,
    )
    dialogues: list[list[Line]] = []
    place = 0
    for end, behind in [*(cut.span() for cut in _START.finditer(mes_example)), (None, 0)]:
        block = mes_example[place:end]
        lines = [
            Line(role, text)
            for role, first, last in _find_turns(block, speaker)
            if (text := _say(block[first:last], context, place + first))
        ]
        if lines:
            dialogues.append(lines)
        place = behind
    return dialogues


def _find_turns(
    block: str, speaker: re.Pattern[str]
) -> Iterable[tuple[Literal["user", "assistant"], int, int]]:
    """Find where each turn's words begin and end."""
    role: Literal["user", "assistant"] = "assistant"
    first = 0
    for found in speaker.finditer(block):
        yield role, first, found.start()
        role = "user" if found.group(1) else "assistant"
        first = found.end()
    yield role, first, len(block)


def _say(text: str, context: MacroContext, offset: int) -> str:
    return expand(text, replace(context, offset=context.offset + offset)).strip()


def _any_of(macro: str, name: str) -> str:
    """Write a pattern for a speaker: the macro in its forms, or the name itself."""
    other = "bot" if macro == "char" else macro
    forms = [rf"\{{\{{\s*{macro}\s*\}}\}}", f"<{macro}>", f"<{other}>"]
    if name.strip():
        forms.append(re.escape(name.strip()))
    return "|".join(forms)
