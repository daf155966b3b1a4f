"""Cuts a reply into segments, the units a voice speaks and a face plays, while it is written.

The segments' texts, joined, are the reply; and they depend on the text and the places of ``mark``
alone, never on how the text was cut into chunks. Each is given out as soon as it is certain:

* **A sentence** ends at ``。．！？!?``, a full stop, a line's end, a note or heart after East Asian
  text. More marks, closing quotes, emoji and spaces behind it belong to it (at most ``MAX_TAIL``
  and ``MAX_SPACES``), so it is certain with one code point after these. Three are read where they
  may be a face such as ``:-)``, or a particle after a quotation; after initials and ``U.S.``, the
  next word, up to 10. Numbers, abbreviations, addresses, names and ellipses hold no end
  (``sentence_ends``).
* **Within quotes** nothing is cut, until a quotation has more than ``MAX_QUOTATION`` columns; then
  it is cut at all its sentences, so that one that never closes holds little back. A sentence goes
  on after a quotation if a small letter follows, or a particle such as ``と``.
* **A clause** is cut off at ``、，,;:``, a dash or an ellipsis only if nothing has been spoken yet
  and it has ``first_min`` columns, so that a voice can begin; certain with the next code point
  that is no space.
* **A long sentence**, more than ``max`` columns, is cut at its last such place or else its last
  space in the last two thirds, or else between two grapheme clusters; certain at once.
* **A short sentence**, less than ``min`` columns, joins the next one, if ``min`` columns have been
  spoken, so that the listener hears them meanwhile, and if it does not end a line.
* **Asides**, actions, thoughts and code, are segments of their own, certain with one code point
  after their tail; what their opening mark holds back until then is bounded (``asides``).
* **A fence** of code comes in pieces of at most ``MAX_CODE`` code points. It is code to the end of
  the reply, or for ``MAX_FENCE`` code points: a voice must not read a program because a reply
  broke off in it, and must not stay silent because a model forgot to close one.

What is held back is at most ``max`` columns and the look-ahead of one aside and one tail; in a
fence, ``MAX_CODE``. The time taken is linear in the text.
"""

from __future__ import annotations

import re

from server.speech.asides import read_aside, ticks_of_fence
from server.speech.clauses import DASHES, SOFT, ClauseMark, read_clause_mark, read_clause_tail
from server.speech.fences import Fence
from server.speech.languages import LanguageGuess
from server.speech.pending import Boundary, Pending
from server.speech.quotes import QUOTE_MARKS, QUOTES, opens_quote
from server.speech.segments import Segment, SegmentRules
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

__all__ = ["Segment", "SegmentRules", "Segmenter"]

_ASIDES = frozenset("*_`(（")
_STOPS = re.compile(
    "[\n"
    + re.escape("".join(ENDERS | ELLIPSES | NOTES | STARS | SOFT | DASHES | _ASIDES))
    + re.escape("".join(QUOTE_MARKS))
    + "\u2600-\u27bf\U0001f300-\U0001faff]"
)


class Segmenter:
    """Segments one reply, fed in any pieces.

    Args:
        rules: How long segments are.
    """

    def __init__(self, rules: SegmentRules = SegmentRules()) -> None:  # noqa: B008 (it is frozen)
        self._first_min = rules.first_min
        self._pending = Pending(rules.min, rules.max)
        self._guess = LanguageGuess(rules.langs)
        self._final = False  # the text ends here, whatever comes later
        self._fence: Fence | None = None  # that is open

    def feed(self, text: str) -> list[Segment]:
        """Take more clean text; return the segments that are certain now."""
        self._pending.text += text
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
        if self._pending.start < len(self._pending.text):
            self._pending.cut(len(self._pending.text), "final")
        return self._give_out()

    def _give_out(self) -> list[Segment]:
        segments = []
        for cut in self._pending.take_cuts():
            lang = self._guess.last if cut.kind == "code" else self._guess.guess(cut.text)
            end = cut.start + len(cut.text)
            segments.append(Segment(cut.text, cut.start, end, cut.kind, cut.boundary, lang))
        return segments

    def _read_to_end(self, boundary: Boundary) -> None:
        self._final = True
        self._read()
        pending = self._pending
        end = len(pending.text)
        if pending.text[pending.start :].strip():
            if self._fence is not None:
                pending.cut(end, boundary, "code")
            else:
                pending.cut(end, "sentence" if pending.ended == end else boundary)
        pending.forget_quotes()
        self._final = False

    def _read(self) -> None:
        """Read on until the text ends, or what comes next depends on text that has not come."""
        pending = self._pending
        while pending.at < len(pending.text):
            if self._fence is not None:
                if not self._fence.read(pending, final=self._final):
                    return
                if self._fence.over:
                    self._fence = None
                continue
            stop = _STOPS.search(pending.text, pending.at)
            pending.advance(len(pending.text) if stop is None else stop.start())
            if stop is not None and not self._read_stop(pending.text[stop.start()]):
                return

    def _read_stop(self, char: str) -> bool:
        """Read the mark that is next; return whether enough text has come for that."""
        pending = self._pending
        if char in _ASIDES:
            return self._read_aside(char)
        if char == "\n":
            return self._read_line_end()
        if char == ".":
            after = pending.text[pending.at + 1 : pending.at + 2]
            if not after and not self._final:
                return False
            if "." in (pending.before, after):
                return self._read_clause_mark()
        if char in ENDERS:
            return self._read_ender()
        if char in ELLIPSES or char in SOFT or char in DASHES:
            return self._read_clause_mark()
        return self._read_symbol(char) if char not in QUOTE_MARKS else self._read_quote(char)

    def _read_ender(self) -> bool:
        pending = self._pending
        ends = mark_ends(pending.text, pending.at, pending.start, final=self._final)
        if ends is None:
            return False
        if not ends:
            pending.advance(pending.at + 1)
            return True
        return self._read_sentence_end()

    def _read_sentence_end(self) -> bool:
        """Read what belongs to the mark that is next, and end the sentence after it."""
        pending = self._pending
        tail = self._read_tail(pending.at + 1)
        if tail is None:
            return False
        pending.close_quotes(pending.text[pending.at + 1 : tail.marks_end])
        last = tail.newline or not tail.following
        if last:
            pending.forget_quotes()
        if pending.quoted:
            pending.pass_quoted_end(tail.end)
        elif tail.goes_on:
            pending.pass_place(tail.end, "clause")
        else:
            pending.end_sentence(tail.marks_end, tail.end, last=last)
        return True

    def _read_line_end(self) -> bool:
        pending = self._pending
        if not pending.words:
            pending.advance(pending.at + 1)
            return True
        end = read_spaces(pending.text, pending.at, final=self._final)
        if end is None:
            return False
        pending.forget_quotes()
        pending.cut(end, "sentence")
        return True

    def _read_clause_mark(self) -> bool:
        pending = self._pending
        mark = read_clause_mark(pending.text, pending.at, pending.start, final=self._final)
        return mark is not None and self._pass_clause(mark)

    def _pass_clause(self, mark: ClauseMark) -> bool:
        """Read on behind a mark, and cut the clause off if it is the first that is spoken."""
        pending = self._pending
        if not mark.soft:
            pending.advance(mark.end)
        elif (
            pending.spoken or pending.quoted or pending.columns_to(mark.marks_end) < self._first_min
        ):
            pending.pass_place(mark.end, "clause")
        else:
            pending.cut(mark.end, "clause")
        return True

    def _read_symbol(self, char: str) -> bool:
        """Read a note, a heart, a star or an emoji, which may stand for a full stop."""
        pending = self._pending
        before = pending.before
        if before.isspace():
            pending.advance(pending.at + 1)
            return True
        tail = self._read_tail(pending.at + 1)
        if tail is None:
            return False
        spaced = tail.end > tail.marks_end
        if (char in NOTES and (spaced or is_wide(before))) or (char in STARS and spaced):
            return self._read_sentence_end()
        mark = read_clause_tail(pending.text, tail.marks_end, final=self._final)
        return mark is not None and self._pass_clause(mark)

    def _read_quote(self, char: str) -> bool:
        pending = self._pending
        if pending.closes_quote(char):
            pending.close_quotes(char)
            pending.forget_quoted_ends()
        else:
            opens = opens_quote(pending.text, pending.at, pending.start, final=self._final)
            if opens is None:
                return False
            if opens:
                pending.open_quote(QUOTES[char])
        pending.advance(pending.at + 1)
        return True

    # --- asides ---

    def _read_aside(self, char: str) -> bool:
        pending = self._pending
        if char == "`":
            ticks = ticks_of_fence(pending.text, pending.at, final=self._final)
            if ticks is None:
                return False
            if ticks:
                self._cut_before_aside()
                self._fence = Fence(ticks)
                pending.at += ticks
                return True
        # A sentence too short to stand alone has ended all the same: what follows is no part of it.
        start = pending.at if pending.ended == pending.at else pending.start
        aside = read_aside(pending.text, pending.at, start, final=self._final)
        if aside is None:
            return False
        if aside.kind is None:
            if char in QUOTES:
                pending.open_quote(QUOTES[char])
            pending.advance(aside.end)
            return True
        tail = self._read_tail(aside.end)
        if tail is None:
            return False
        self._cut_before_aside()
        pending.cut(tail.end, "sentence", aside.kind)
        return True

    def _cut_before_aside(self) -> None:
        pending = self._pending
        if pending.words:
            pending.cut(pending.at, "sentence" if pending.ended == pending.at else "clause")
        pending.forget_quotes()

    def _read_tail(self, at: int) -> Tail | None:
        in_quotes = self._pending.closes_quote('"')
        return read_tail(self._pending.text, at, in_quotes=in_quotes, final=self._final)
