"""Fills in ``{{char}}`` and its like (Character Card V3, "Curly Braced Syntaxes").

Nothing is evaluated: a macro is a name, perhaps with an argument, that stands in a fixed list;
all else stays as it is written, whatever it would mean to a template engine. What is filled in is
not read again. Chance comes from a seed and the macro's place, so that the same text comes out the
same way for as long as the seed is the same: a prompt's head must not change from turn to turn.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

MAX_EXPANDED = 2 * 1024 * 1024
"""Characters; what would come to more is left as it is written from there on."""
MAX_NESTING = 8
MAX_DICE, MAX_SIDES = 100, 10_000

_MACRO = re.compile(r"\{\{((?:[^{}]|\{(?!\{)|\}(?!\}))*)\}\}")
_ANGLE = re.compile(r"<(USER|BOT|CHAR)>", re.IGNORECASE)
_ROLL = re.compile(r"(\d{0,3})d?(\d{1,5})([+-]\d{1,5})?")
_TRIM = "\ue000trim\ue000"


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroContext:
    """What macros stand for.

    Attributes:
        char: The character's nickname or name.
        user: The user's name.
        seed: Of chance.
        original: What ``{{original}}`` stands for; ``None`` leaves it as it is written.
        time: ``HH:MM``; ``None`` leaves macros of time as they are written.
        date: ``YYYY-MM-DD``.
        weekday: Its name.
    """

    char: str = ""
    user: str = "User"
    seed: int = 0
    original: str | None = None
    time: str | None = None
    date: str | None = None
    weekday: str | None = None


def expand(text: str, context: MacroContext) -> str:
    """Fill macros in, the innermost first, each once."""
    if "{{" not in text and "<" not in text:
        return text
    fixed = {"user": context.user, "bot": context.char, "char": context.char}
    text = _ANGLE.sub(lambda match: fixed[match.group(1).lower()], text)
    original, bare = context.original, replace(context, original=None)
    for _ in range(MAX_NESTING):
        filled = _fill(text, bare)
        if filled == text:
            break
        text = filled
    if original is not None:
        # last, and once: what was there before is read already
        text = re.sub(r"\{\{original\}\}", lambda _: original, text, flags=re.IGNORECASE)
    return _trim(text)


def hidden_keys(text: str) -> list[str]:
    """Texts of ``{{hidden_key:…}}``: not shown, but searched for lore."""
    return [
        body.partition(":")[2].strip()
        for body in _MACRO.findall(text)
        if body.strip().lower().startswith("hidden_key:")
    ]


def _fill(text: str, context: MacroContext) -> str:
    parts: list[str] = []
    length = end = 0
    for match in _MACRO.finditer(text):
        found = _value(match.group(1), match.start(), context)
        piece = text[end : match.start()] + (match.group(0) if found is None else found)
        if length + len(piece) > MAX_EXPANDED:
            break
        parts.append(piece)
        length += len(piece)
        end = match.end()
    return "".join(parts) + text[end:]


def _value(body: str, place: int, context: MacroContext) -> str | None:
    """What a macro comes to; ``None`` for one that is not known."""
    if body.lstrip().startswith("//"):
        return ""
    name, argument = _split(body)
    simple = {
        "char": context.char,
        "user": context.user,
        "newline": "\n",
        "noop": "",
        "trim": _TRIM,
        "time": context.time,
        "isotime": context.time,
        "date": context.date,
        "isodate": context.date,
        "weekday": context.weekday,
    }
    if argument is None:
        return simple.get(name)
    match name:
        case "comment" | "hidden_key":
            return ""
        case "reverse":
            return argument[::-1]
        case "random" | "pick":
            options = _options(argument)
            # a pick does not move when the text around it changes
            salt = argument if name == "pick" else str(place)
            chance = random.Random(f"{context.seed}|{name}|{salt}")
            return chance.choice(options) if options else ""
        case "roll":
            return _roll(argument, random.Random(f"{context.seed}|roll|{place}"))
    return None


def _split(body: str) -> tuple[str, str | None]:
    name, separator, argument = body.partition(":")
    if not separator and " " in body.strip():
        name, _, argument = body.strip().partition(" ")  # {{roll d20}}
        separator = " "
    return name.strip().lower(), argument.removeprefix(":") if separator else None


def _options(argument: str) -> list[str]:
    if "::" in argument:
        return [option.strip() for option in argument.split("::")]
    options = re.split(r"(?<!\\),", argument)
    return [option.replace("\\,", ",").strip() for option in options]


def _roll(argument: str, chance: random.Random) -> str | None:
    match = _ROLL.fullmatch(argument.strip().lower())
    if match is None:
        return None
    dice = match.group(1) if "d" in argument.lower() else ""
    count, sides = int(dice or 1), int(match.group(2) if "d" in argument.lower() else argument)
    if not (1 <= count <= MAX_DICE and 1 <= sides <= MAX_SIDES):
        return None
    bonus = int(match.group(3) or 0) if "d" in argument.lower() else 0
    return str(sum(chance.randint(1, sides) for _ in range(count)) + bonus)


def _trim(text: str) -> str:
    return re.sub(rf"\s*{_TRIM}\s*", "", text)
