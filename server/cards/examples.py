"""Example dialogues of a card: who says what, block by block."""

from __future__ import annotations

import re
from dataclasses import dataclass

_START = re.compile(r"^\s*<START>\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Line:
    """Something that is said.

    Attributes:
        is_user: By the user, not the character.
        text: The words.
    """

    is_user: bool
    text: str


def split_examples(text: str, *, char: str, user: str) -> list[list[Line]]:
    """Take example dialogues apart.

    Args:
        text: With macros filled in.
        char: The character's name, as it stands before a colon.
        user: The user's.

    Returns:
        Dialogues, in order; what stands before the first name belongs to the character.
    """
    named = {f"{char}:": False, f"{user}:": True}
    dialogues = []
    for block in _START.split(text):
        lines: list[Line] = []
        for row in block.strip().splitlines():
            name = next((name for name in named if row.lstrip().startswith(name)), None)
            if name is not None:
                lines.append(Line(named[name], row.lstrip()[len(name) :].strip()))
            elif lines:
                lines[-1] = Line(lines[-1].is_user, f"{lines[-1].text}\n{row}")
            elif row.strip():
                lines.append(Line(False, row.strip()))
        if lines:
            dialogues.append(lines)
    return dialogues
