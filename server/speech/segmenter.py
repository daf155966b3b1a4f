"""Cuts a reply into segments, the units a voice speaks and a face plays, while it is written.

The segments' texts, joined, are the reply; and they depend on the text and the places of ``mark``
alone, never on how the text was cut into chunks. Each is given out as soon as it is certain:

* **A sentence** ends at ``。．！？!?``, a full stop, a line's end, a note or heart after East Asian
  text. More marks, closing quotes, emoji and spaces behind it belong to it, so it is certain with
  the first code point after these; with a full stop after initials or ``U.S.``, with the word after
  them. Numbers, abbreviations, addresses, names and ellipses hold no end (``sentence_ends``).
* **Within quotes** nothing is cut, until a quotation has more than ``MAX_QUOTATION`` columns; then
  it is cut at all its sentences, so that one that never closes holds little back. A sentence goes
  on after a quotation if a small letter follows, or ``と``.
* **A clause** is cut off at ``、，,;:``, a dash or an ellipsis only if nothing has been spoken yet
  and it has ``first_min`` columns, so that a voice can begin; certain with the next code point
  that is no space.
* **A long sentence**, more than ``max`` columns, is cut at its last such place or else its last
  space in the last two thirds, or else between two grapheme clusters; certain at once.
* **A short sentence**, less than ``min`` columns, joins the next one, if ``min`` columns have been
  spoken, so that the listener hears them meanwhile, and if it does not end a line.
* **Asides**, actions, thoughts and code, are segments of their own (``asides``), certain with the
  first code point after them that is no space.
* **A fence** of code comes in pieces of at most ``MAX_CODE`` code points. It is code to the end of
  the reply, or for ``MAX_FENCE`` code points: a voice must not read a program because a reply
  broke off in it, and must not stay silent because a model forgot to close one.

What is held back is at most ``max`` columns and the look-ahead of one aside and one tail; in a
fence, ``MAX_CODE``. The time taken is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from engine.graphemes import last_boundary
from server.speech.asides import read_aside, ticks_of_fence
from server.speech.languages import LanguageGuess, width
from server.speech.sentence_ends import (
    ELLIPSES,
    ENDERS,
    NOTES,
    STARS,
    Tail,
    is_wide,
    mark_ends,
    read_spaces,
    read_tail,
)

Kind = Literal["speech", "action", "thought", "code"]
Boundary = Literal["sentence", "clause", "tag", "length", "final"]

MAX_QUOTATION = 48
"""A quotation of more columns is cut at its sentences."""

MAX_CODE = 2_000
"""Code points of code in one segment."""

MAX_FENCE = 16_000
"""A fence that has not closed after so many code points was none."""

_SOFT = frozenset("、，；：,;:")
_DASHES = frozenset("—―–─-")
_ASIDES = frozenset("*_`(（")
_QUOTES = {
    "「": "」", "『": "』", "“": "”", "《": "》", "【": "】", "〈": "〉", "«": "»", '"': '"',
    "(": ")）", "（": ")）",
}  # fmt: skip
_CLOSING = frozenset("".join(_QUOTES.values()))
_BEFORE_QUOTE = frozenset("([{（「『—―–-:：、，")
_STOPS = re.compile(
    "[\n"
    + re.escape("".join(ENDERS | ELLIPSES | NOTES | STARS | _SOFT | _DASHES | _ASIDES))
    + re.escape("".join(_QUOTES) + "".join(_CLOSING))
    + "\u2600-\u27bf\U0001f300-\U0001faff]"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A self-contained part of a reply.

    Attributes:
        text: ``clean[start:end]``, the spaces after it included.
        start: Code points of the reply's clean text before it.
        end: Code points up to and with it.
        kind: Only ``speech`` is said.
        boundary: What ended it: a ``sentence``'s end, also that of an aside; a ``clause``'s, where
            the sentence goes on; inside a sentence, a ``tag``, its ``length``, or the reply's
            ``final`` code point.
        lang: Its language: ``ja``, ``zh`` or ``en``.
    """

    text: str
    start: int
    end: int
    kind: Kind
    boundary: Boundary
    lang: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRules:
    """How long segments are, in columns: East Asian characters have two, others have one."""

    first_min: int = 12
    """The least that may be cut off before the first sentence's end."""

    min: int = 8
    """A later sentence that is shorter joins the next one."""

    max: int = 120
    """A segment that is longer is cut before its sentence ends."""

    langs: tuple[str, ...] = ("ja", "zh", "en")
    """The languages that a segment may be in; the first stands for any other."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A place where the pending text may be cut, and the columns of the reply before it."""

    at: int
    columns: int
    boundary: Boundary


class Segmenter:
    """Segments one reply, fed in any pieces.

    Args:
        rules: How long segments are.
    """

    def __init__(self, rules: SegmentRules = SegmentRules()) -> None:
        self._rules = rules
        self._guess = LanguageGuess(rules.langs)
        self._text = ""  # what has not been given out, and what this feed has
        self._offset = 0  # of _text in the reply
        self._from = 0  # where the pending segment begins, in _text
        self._at = 0  # up to where it has been read
        self._final = False  # _text ends here, whatever comes later
        self._columns = 0  # of the reply up to _at
        self._from_columns = 0  # of the reply up to _from
        self._spoken = 0  # columns of the speech given out
        self._quotes: list[tuple[str, int]] = []  # what closes each, the columns before it
        self._quoted_ends: list[_Place] = []  # sentence ends inside them
        self._best: _Place | None = None  # the last place good for a cut
        self._ended = -1  # where a sentence ended that waits for the next one
        self._fence = 0  # backticks that opened it
        self._fence_length = 0  # code points given out of it
        self._ready: list[Segment] = []

    def feed(self, text: str) -> list[Segment]:
        """Take more clean text; return the segments that are certain now."""
        self._text += text
        self._read()
        return self._give_out()

    def mark(self) -> list[Segment]:
        """Take note of an expression tag at this place; return all that stood before it.

        Spaces alone are no segment; they stay with what follows.
        """
        self._read_to_end("tag")
        return self._give_out()

    def finish(self) -> list[Segment]:
        """End the reply; return the rest of it. Only a rest of spaces makes a blank segment."""
        self._read_to_end("final")
        if self._from < len(self._text):
            self._cut(len(self._text), "final")
        return self._give_out()

    def _read_to_end(self, boundary: Boundary) -> None:
        self._final = True
        self._read()
        end = len(self._text)
        if self._text[self._from : end].strip():
            if self._fence:
                self._fence_length += end - self._from
                self._cut(end, boundary, "code")
            else:
                self._cut(end, "sentence" if self._ended == end else boundary)
        self._forget_quotes()
        self._final = False

    def _give_out(self) -> list[Segment]:
        ready, self._ready = self._ready, []
        done = self._from
        if done:
            self._text = self._text[done:]
            self._offset += done
            self._from = 0
            self._at -= done
            self._ended -= done
            if self._best is not None:
                self._best = self._moved(self._best, done)
            self._quoted_ends = [self._moved(place, done) for place in self._quoted_ends]
        return ready

    @staticmethod
    def _moved(place: _Place, by: int) -> _Place:
        return _Place(place.at - by, place.columns, place.boundary)

    def _read(self) -> None:
        """Read on until the text ends, or what comes next depends on text that has not come."""
        while self._at < len(self._text):
            if self._fence:
                if not self._read_fence():
                    return
                continue
            stop = _STOPS.search(self._text, self._at)
            self._advance(len(self._text) if stop is None else stop.start())
            if stop is not None and not self._read_stop(self._text[stop.start()]):
                return

    def _read_stop(self, char: str) -> bool:
        """Read the mark at ``_at``; return whether enough text has come for that."""
        if char in _ASIDES:
            return self._read_aside(char)
        if char == "\n":
            return self._read_line_end()
        if char in ENDERS and not (char == "." and self._beside(".")):
            return self._read_ender()
        if char in ELLIPSES or char == ".":
            return self._read_ellipsis(char)
        if char in _SOFT or char in _DASHES:
            return self._read_soft(char)
        if char in _QUOTES or char in _CLOSING:
            return self._read_quote(char)
        return self._read_symbol(char)

    # --- what a mark means ---

    def _beside(self, char: str) -> bool:
        before = self._text[self._at - 1] if self._at > self._from else ""
        return before == char or self._text[self._at + 1 : self._at + 2] == char

    def _read_ender(self) -> bool:
        if self._text[self._at] == "." and self._at + 1 == len(self._text) and not self._final:
            return False
        ends = mark_ends(self._text, self._at, self._from, final=self._final)
        if ends is None:
            return False
        if not ends:
            self._advance(self._at + 1)
            return True
        return self._read_sentence_end()

    def _read_sentence_end(self) -> bool:
        """Read the tail behind the mark at ``_at``, and end the sentence after it."""
        tail = self._read_tail(self._at + 1)
        if tail is None:
            return False
        for char in self._text[self._at + 1 : tail.marks_end]:
            if char in _CLOSING:
                self._close_quote(char)
        if tail.newline or not tail.following:
            self._forget_quotes()
        if self._quotes:
            self._advance(tail.end)
            if self._quotes and tail.end > self._from:
                self._quoted_ends.append(self._place(tail.end, "sentence"))
                self._best = self._quoted_ends[-1]
        elif tail.goes_on:
            self._advance(tail.end)
            self._best = self._place(tail.end, "clause")
        else:
            self._end_sentence(tail)
        return True

    def _end_sentence(self, tail: Tail) -> None:
        self._quoted_ends.clear()
        if not tail.newline and tail.following and self._waits(tail.marks_end):
            self._advance(tail.end)
            self._ended = tail.end
            self._best = self._place(tail.end, "sentence")
        else:
            self._cut(tail.end, "sentence")

    def _waits(self, marks_end: int) -> bool:
        """Whether a sentence is so short that it joins the next one."""
        if self._spoken < self._rules.min:
            return False
        return width(self._text[self._from : marks_end].lstrip()) < self._rules.min

    def _read_line_end(self) -> bool:
        if not self._text[self._from : self._at].strip():
            self._advance(self._at + 1)
            return True
        end = read_spaces(self._text, self._at, final=self._final)
        if end is None:
            return False
        self._forget_quotes()
        self._cut(end, "sentence")
        return True

    def _read_ellipsis(self, char: str) -> bool:
        end = self._at + 1
        while end < len(self._text) and self._text[end] in "….‥⋯" and end - self._at < 16:
            end += 1
        if end == len(self._text) and not self._final:
            return False
        if self._text[end : end + 1] in ENDERS or self._text[end : end + 1] in _CLOSING:
            self._advance(end)
            return True
        return self._pass_clause(end)

    def _read_soft(self, char: str) -> bool:
        at, text = self._at, self._text
        end = at + 1
        while char in _DASHES and end < len(text) and text[end] == char and end - at < 16:
            end += 1
        if end == len(text) and not self._final:
            return False
        before = text[at - 1] if at > self._from else ""
        after = text[end : end + 1]
        if char == "-" and end == at + 1:
            soft = before.isspace() and after.isspace()
        elif char in ",;:":
            soft = after.isspace()
        else:
            soft = not (before.isdigit() and after.isdigit())
        if not soft:
            self._advance(end)
            return True
        return self._pass_clause(end)

    def _pass_clause(self, marks_end: int) -> bool:
        """Read on behind a clause that ends at ``marks_end``, and cut it off if it is the first."""
        end = read_spaces(self._text, marks_end, final=self._final)
        if end is None:
            return False
        between = self._text[marks_end:end]
        closing = self._text[end : end + 1]
        if closing == '"' and between:
            closing = ""
        if "\n" in between or end == len(self._text) or (closing and closing in _CLOSING):
            self._advance(marks_end)
            return True
        if self._text[marks_end - 1] == "," and self._text[end].isdigit():
            self._advance(end)  # "May 5, 2026"
            return True
        columns = width(self._text[self._from : marks_end].lstrip())
        if not self._spoken and not self._quotes and columns >= self._rules.first_min:
            self._cut(end, "clause")
        else:
            self._advance(end)
            self._best = self._place(end, "clause")
        return True

    def _read_symbol(self, char: str) -> bool:
        """Read a note, a heart, a star or an emoji, which may stand for a full stop."""
        before = self._text[self._at - 1] if self._at > self._from else " "
        if before.isspace():
            self._advance(self._at + 1)
            return True
        tail = self._read_tail(self._at + 1)
        if tail is None:
            return False
        spaced = tail.end > tail.marks_end
        if (char in NOTES and (spaced or is_wide(before))) or (char in STARS and spaced):
            return self._read_sentence_end()
        return self._pass_clause(tail.marks_end)

    def _read_quote(self, char: str) -> bool:
        if char in _CLOSING and self._close_quote(char):
            self._quoted_ends.clear()
        elif char == '"':
            if self._at + 1 == len(self._text) and not self._final:
                return False
            before = self._text[self._at - 1] if self._at > self._from else " "
            after = self._text[self._at + 1 : self._at + 2]
            if (before.isspace() or before in _BEFORE_QUOTE or is_wide(before)) and after.strip():
                self._quotes.append((char, self._columns))
        elif char in _QUOTES:
            self._quotes.append((_QUOTES[char], self._columns))
        self._advance(self._at + 1)
        return True

    def _close_quote(self, char: str) -> bool:
        """Close the innermost quotation that ``char`` closes; return whether there was one."""
        for index in range(len(self._quotes) - 1, -1, -1):
            if char in self._quotes[index][0]:
                del self._quotes[index:]
                return True
        return False

    def _forget_quotes(self) -> None:
        self._quotes.clear()
        self._quoted_ends.clear()

    # --- asides ---

    def _read_aside(self, char: str) -> bool:
        if char == "`":
            ticks = ticks_of_fence(self._text, self._at, final=self._final)
            if ticks is None:
                return False
            if ticks:
                self._cut_before_aside()
                self._fence, self._fence_length = ticks, 0
                self._at += ticks
                return True
        aside = read_aside(self._text, self._at, self._from, final=self._final)
        if aside is None:
            return False
        if aside.kind is None:
            if char in _QUOTES:
                self._quotes.append((_QUOTES[char], self._columns))
            self._advance(aside.end)
            return True
        tail = self._read_tail(aside.end)
        if tail is None:
            return False
        self._cut_before_aside()
        self._cut(tail.end, "sentence", aside.kind)
        return True

    def _cut_before_aside(self) -> None:
        if self._text[self._from : self._at].strip():
            self._cut(self._at, "sentence" if self._ended == self._at else "clause")
        self._forget_quotes()

    def _read_fence(self) -> bool:
        """Read on in a fence; return whether it, or a piece of it, was given out."""
        ticks = "`" * self._fence
        close = self._text.find(ticks, self._at)
        known = close if close >= 0 else len(self._text) - len(ticks) + 1  # no fence ends before
        if known > self._from + MAX_CODE:
            end = self._text.rfind("\n", self._from, self._from + MAX_CODE) + 1
            if end <= self._from:
                pending = self._text[self._from : self._from + MAX_CODE + 1]
                end = self._from + (last_boundary(pending, MAX_CODE) or MAX_CODE)
            self._fence_length += end - self._from
            self._cut(end, "length", "code")
            if self._fence_length > MAX_FENCE:
                self._fence = 0
            return True
        if close < 0:
            self._at = max(self._at, known)
            return False
        self._at = close
        end_of_spaces = read_spaces(self._text, close + self._fence, final=self._final)
        if end_of_spaces is None:
            return False
        self._fence = 0
        self._cut(end_of_spaces, "sentence", "code")
        return True

    # --- places and cuts ---

    def _read_tail(self, at: int) -> Tail | None:
        in_quotes = any('"' in closing for closing, _ in self._quotes)
        return read_tail(self._text, at, in_quotes=in_quotes, final=self._final)

    def _place(self, at: int, boundary: Boundary) -> _Place:
        return _Place(at, self._columns, boundary)

    def _advance(self, end: int) -> None:
        """Read on to ``end``, and cut where a quotation or a segment gets too long on the way.

        Both happen at the very code point, however much text is passed at once: no stretch is
        passed whole that could reach over the next of them.
        """
        while self._at < end:
            room = self._from_columns + self._rules.max - self._columns
            if self._quotes:
                room = min(room, self._quotes[0][1] + MAX_QUOTATION - self._columns)
            stretch = self._text[self._at : min(end, self._at + max(1, room))]
            if not stretch.isascii():
                stretch = stretch[: max(1, room // 2)]
            self._columns += width(stretch)
            self._at += len(stretch)
            if self._quotes and self._columns > self._quotes[0][1] + MAX_QUOTATION:
                self._cut_quotation()
            if self._columns > self._from_columns + self._rules.max:
                self._cut_long()

    def _cut_quotation(self) -> None:
        """Give out the sentences of a quotation that is too long to wait for."""
        places = list(self._quoted_ends)
        self._forget_quotes()
        for place in places:
            if self._waits(place.at):
                self._ended = place.at
            else:
                self._cut(place.at, "sentence")

    def _cut_long(self) -> None:
        least = self._from_columns + self._rules.max // 3
        best = self._best
        if best is not None and best.columns >= least and best.at < self._at:
            self._cut(best.at, best.boundary)
            return
        pending = self._text[self._from : self._at]
        words = pending[:-1].rstrip()
        space = max((i for i, char in enumerate(pending[:-1]) if char.isspace()), default=-1) + 1
        if space and words and self._from_columns + width(pending[:space]) >= least:
            self._cut(self._from + space, "length")
            return
        limit = last_boundary(pending, len(pending) - 1)
        if limit:
            self._cut(self._from + limit, "length")

    def _cut(self, end: int, boundary: Boundary, kind: Kind = "speech") -> None:
        """Give out the pending text up to ``end``."""
        text = self._text[self._from : end]
        lang = self._guess.last if kind == "code" else self._guess.guess(text)
        start = self._offset + self._from
        self._ready.append(Segment(text, start, start + len(text), kind, boundary, lang))
        if kind == "speech":
            self._spoken += width(text.strip())
        if end > self._at:
            self._columns += width(self._text[self._at : end])
            self._at = end
        self._from = end
        self._from_columns = self._columns - width(self._text[end : self._at])
        if self._best is not None and self._best.at <= end:
            self._best = None
        self._quoted_ends = [place for place in self._quoted_ends if place.at > end]
