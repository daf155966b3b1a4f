r"""Fills in ``{{char}}`` and its like (Character Card V3, "Curly Braced Syntaxes").

Nothing is ever evaluated. A macro is a name out of a fixed list, perhaps with an argument; all else
stays as it is written, whatever it would mean to a template engine or a model's chat format. One
pass: what is filled in is not read again. Chance comes from the context's seed and the macro's
place, so that a prompt's head stays the same for as long as its seed does.

::

    {{char}} {{user}} <CHAR> <BOT> <USER>    names
    {{random:a,b}} {{random::a::b}}          one of them, new with each turn; "\," is a comma
    {{pick:a,b}}                             one of them, the same for as long as the seed is
    {{roll:20}} {{roll:d20}} {{roll:2d6+1}}  dice, new with each turn
    {{// note}} {{comment: note}}            nothing
    {{hidden_key:word}}                      nothing, but searched for lore (``hidden_keys``)
    {{reverse:text}} {{newline}} {{noop}}    txet, a line end, nothing
    {{trim}}                                 nothing, and takes the line ends around it along
    {{original}}                             what the field replaces, where the caller says so
    {{time}} {{date}} {{weekday}} {{idle_duration}}   where the caller says them
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MAX_GROWTH = 256 * 1024
"""Characters that are filled in at most; macros beyond stay as they are written."""
MAX_MACROS = 5_000
"""Macros of one text; those beyond stay as they are written."""
MAX_NESTING = 8
"""Macros within a macro's argument; those deeper stay as they are written."""
MAX_DICE = 100
MAX_SIDES = 1_000_000

_TOKEN = re.compile(r"\{\{(?!\{)|\}\}|<(?:user|char|bot)>", re.IGNORECASE)
_NAMED = re.compile(r"\s*+([a-z_]++)\s*+(?:(::?)|\Z)", re.IGNORECASE)
_NOTE = re.compile(r"\s*+//")
_SPACED_ROLL = re.compile(r"\s*+roll\s+(?=\d|d\d)", re.IGNORECASE)
_DICE = re.compile(r"(?:(\d{0,3})d)?(\d{1,7})([+-]\d{1,6})?", re.IGNORECASE)
_COMMA = re.compile(r"(?<!\\),")
_LINE_ENDS = "\r\n"
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroContext:
    """What macros stand for.

    Attributes:
        char: The character's nickname or name.
        user: The user's name.
        seed: Decides all chance.
        turn: Moves ``{{random}}`` and ``{{roll}}`` on, but never ``{{pick}}``.
        offset: Characters of the field that stand before the text, where only a part is given.
        original: What ``{{original}}`` stands for: only in ``system_prompt`` and
            ``post_history_instructions`` (V2). ``None`` leaves the macro as it is written.
        now: The user's local time; ``None`` leaves its macros as they are written.
        idle_s: Seconds since the user last spoke; ``None`` as above.
    """

    char: str = ""
    user: str = "User"
    seed: int = 0
    turn: int = 0
    offset: int = 0
    original: str | None = None
    now: datetime | None = None
    idle_s: float | None = None


@dataclass(slots=True)
class _Span:
    """A token, or a macro from its first brace to its last, with the spans within it."""

    start: int
    end: int
    within: list[_Span]


def expand(text: str, context: MacroContext) -> str:
    """Fill all known macros in.

    Returns:
        At most ``MAX_GROWTH`` characters more than ``text`` has.
    """
    spans = _find_spans(text)
    return _Filler(text, context).fill(0, len(text), spans) if spans else text


def hidden_keys(text: str) -> tuple[str, ...]:
    """Return what ``{{hidden_key:…}}`` macros hold, for searching lore recursively."""
    keys: list[str] = []
    waiting = _find_spans(text)[::-1]
    while waiting:
        span = waiting.pop()
        waiting += reversed(span.within)
        name, argument = _find_name(text, span)
        if name == "hidden_key" and argument is not None:
            keys.append(text[argument : span.end - 2].strip())
    return tuple(key for key in keys if key)


class _Filler:
    """Fills one text in; keeps how much it still may."""

    def __init__(self, text: str, context: MacroContext) -> None:
        self._text = text
        self._context = context
        self._values = _plain_values(context)
        self._room = MAX_GROWTH
        self._left = MAX_MACROS
        self._depth = 0

    def fill(self, start: int, end: int, spans: Iterable[_Span]) -> str:
        """Return a part of the text with the macros in it filled in."""
        parts: list[str] = []
        trims = False
        place = start
        for span in spans:
            trims = _put(parts, self._text[place : span.start], trims=trims)
            place = span.end
            if _find_name(self._text, span) == ("trim", None):
                _strip_line_ends(parts)
                trims = True
            else:
                trims = _put(parts, self._fill_span(span), trims=trims)
        _put(parts, self._text[place:end], trims=trims)
        return "".join(parts)

    def _fill_span(self, span: _Span) -> str:
        """Return what a macro comes to, or how it is written where it comes to nothing known."""
        written = self._text[span.start : span.end]
        if not self._left or self._depth > MAX_NESTING:
            return written
        self._left -= 1
        self._depth += 1
        value = self._value(span)
        self._depth -= 1
        growth = 0 if value is None else max(0, len(value) - len(written))
        if value is None or growth > self._room:
            return written
        self._room -= growth
        return value

    def _value(self, span: _Span) -> str | None:
        name, argument = _find_name(self._text, span)
        if argument is None:
            return self._values.get(name)
        end = span.end - 2
        match name:
            case "//" | "comment" | "hidden_key":
                return ""
            case "reverse":
                return self.fill(argument, end, span.within)[::-1]
            case "random" | "pick":
                options = _split_options(self._text, argument, end, span.within)
                chosen = options[self._chance(name, span).randrange(len(options))]
                return self.fill(*chosen).strip().replace("\\,", ",")
            case "roll":
                dice = self.fill(argument, end, span.within).strip()
                return _roll(dice, self._chance(name, span))
            case _:
                return None

    def _chance(self, name: str, span: _Span) -> random.Random:
        turn = 0 if name == "pick" else self._context.turn
        place = self._context.offset + span.start
        return random.Random(f"{self._context.seed}|{name}|{turn}|{place}")


def _find_spans(text: str) -> list[_Span]:
    """Find all pairs of double braces, in one pass; what is not closed is text."""
    found: list[_Span] = []
    opened: list[_Span] = []
    for token in _TOKEN.finditer(text):
        if token.group() == "{{":
            opened.append(_Span(token.start(), 0, []))
            continue
        if token.group() != "}}":
            span = _Span(token.start(), token.end(), [])
        elif opened:
            span = opened.pop()
            span.end = token.end()
        else:
            continue
        (opened[-1].within if opened else found).append(span)
    for span in opened:
        found += span.within
    return found


def _find_name(text: str, span: _Span) -> tuple[str, int | None]:
    """Return a macro's name in lower case, and where its argument begins, if it has one."""
    if text[span.start] == "<":
        name = text[span.start + 1 : span.end - 1].lower()
        return ("char" if name == "bot" else name), None
    place, end = span.start + 2, span.end - 2
    for name, pattern in (("//", _NOTE), ("roll", _SPACED_ROLL)):
        found = pattern.match(text, place, end)
        if found is not None:
            return name, found.end()
    found = _NAMED.match(text, place, end)
    if found is None:
        return "", None
    return found.group(1).lower(), found.end() if found.group(2) else None


def _plain_values(context: MacroContext) -> dict[str, str]:
    """What macros without an argument stand for."""
    values = {"char": context.char, "user": context.user, "newline": "\n", "noop": ""}
    if context.original is not None:
        values["original"] = context.original
    if context.now is not None:
        values["time"] = context.now.strftime("%H:%M")
        values["date"] = context.now.strftime("%Y-%m-%d")
        values["weekday"] = _WEEKDAYS[context.now.weekday()]
    if context.idle_s is not None:
        values["idle_duration"] = _say_duration(context.idle_s)
    return values


def _split_options(
    text: str, start: int, end: int, within: list[_Span]
) -> list[tuple[int, int, list[_Span]]]:
    """Split an argument at ``::``, or else at commas, but never within its macros."""
    gaps: list[tuple[int, int]] = []
    place = start
    for span in within:
        gaps.append((place, span.start))
        place = span.end
    gaps.append((place, end))
    has_colons = any(text.find("::", first, last) >= 0 for first, last in gaps)
    separator = re.compile("::") if has_colons else _COMMA
    cuts = [cut.span() for first, last in gaps for cut in separator.finditer(text, first, last)]
    options: list[tuple[int, int, list[_Span]]] = []
    spans = deque(within)
    place = start
    for first, behind in [*cuts, (end, end)]:
        inside: list[_Span] = []
        while spans and spans[0].start < first:
            inside.append(spans.popleft())
        options.append((place, first, inside))
        place = behind
    return options


def _roll(dice: str, chance: random.Random) -> str | None:
    found = _DICE.fullmatch(dice)
    if found is None:
        return None
    count, sides, bonus = int(found[1] or 1), int(found[2]), int(found[3] or 0)
    if not (1 <= count <= MAX_DICE and 1 <= sides <= MAX_SIDES):
        return None
    return str(sum(chance.randint(1, sides) for _ in range(count)) + bonus)


def _say_duration(seconds: float) -> str:
    for length, unit in _UNITS:
        count = int(seconds // length)
        if count >= 1:
            return f"{count} {unit}s" if count > 1 else f"one {unit}"
    return "a few seconds"


def _put(parts: list[str], piece: str, *, trims: bool) -> bool:
    """Append a piece; return whether line ends before the next one are still to go."""
    if trims:
        piece = piece.lstrip(_LINE_ENDS)
    if piece:
        parts.append(piece)
    return trims and not piece


def _strip_line_ends(parts: list[str]) -> None:
    while parts:
        parts[-1] = parts[-1].rstrip(_LINE_ENDS)
        if parts[-1]:
            return
        parts.pop()
