"""What has come of a reply and was not given out yet, and where that may be cut.

It knows lengths, quotations and good places for a cut, and no mark's meaning. A cut made because
something got too long comes at the very code point, however much text is passed at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from engine.graphemes import last_boundary
from server.speech.languages import width

Kind = Literal["speech", "action", "thought", "code"]
Boundary = Literal["sentence", "clause", "tag", "length", "final"]

MAX_QUOTATION = 48
"""A quotation of more columns is cut at its sentences."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Text that is given out.

    Attributes:
        text: What stood there.
        start: Code points of the reply before it.
        kind: What it is.
        boundary: What ended it.
    """

    text: str
    start: int
    kind: Kind
    boundary: Boundary


@dataclass(frozen=True, slots=True)
class _Place:
    """A place where the pending text may be cut, and the columns of the reply before it."""

    at: int
    columns: int
    boundary: Boundary


class Pending:
    """The pending text of one reply.

    Args:
        least: Columns; a sentence with fewer may wait for the next one.
        most: Columns; a segment with more is cut.

    Attributes:
        text: What is pending, what has been read ahead, and what was given out since
            ``take_cuts``.
        start: Where the pending segment begins in ``text``.
        at: Up to where it has been read.
        ended: Where a sentence ended that waits for the next one, or less than ``start``.
        spoken: Columns of speech given out.
    """

    def __init__(self, least: int, most: int) -> None:
        self.text = ""
        self.start = 0
        self.at = 0
        self.ended = -1
        self.spoken = 0
        self._least = least
        self._most = most
        self._offset = 0  # of text in the reply
        self._columns = 0  # of the reply up to at
        self._start_columns = 0  # of the reply up to start
        self._quotes: list[tuple[str, int]] = []  # what closes each, the columns before it
        self._quoted_ends: list[_Place] = []  # sentence ends inside them
        self._best: _Place | None = None  # the last place good for a cut
        self._cuts: list[Cut] = []

    @property
    def words(self) -> str:
        """The pending text as far as it has been read; empty if that is only spaces."""
        words = self.text[self.start : self.at]
        return "" if words.isspace() else words

    @property
    def before(self) -> str:
        """The pending code point before ``at``; a space when there is none."""
        return self.text[self.at - 1] if self.at > self.start else " "

    @property
    def quoted(self) -> bool:
        """Whether a quotation is open."""
        return bool(self._quotes)

    def columns_to(self, end: int) -> int:
        """Columns of the pending text up to ``end``, spaces at its beginning not counted."""
        return width(self.text[self.start : end].lstrip())

    def take_cuts(self) -> list[Cut]:
        """Return what was cut off since last time, and forget its text."""
        cuts, self._cuts = self._cuts, []
        done = self.start
        if done:
            self.text = self.text[done:]
            self._offset += done
            self.start = 0
            self.at -= done
            self.ended -= done
            if self._best is not None:
                self._best = replace(self._best, at=self._best.at - done)
            self._quoted_ends = [replace(end, at=end.at - done) for end in self._quoted_ends]
        return cuts

    # --- reading on ---

    def advance(self, end: int) -> None:
        """Read on to ``end``, and cut where a quotation or a segment gets too long on the way."""
        while self.at < end:
            # No stretch is passed whole that could reach over the next such place.
            room = self._start_columns + self._most - self._columns
            if self._quotes:
                room = min(room, self._quotes[0][1] + MAX_QUOTATION - self._columns)
            stretch = self.text[self.at : min(end, self.at + max(1, room))]
            if not stretch.isascii():
                stretch = stretch[: max(1, room // 2)]
            self._columns += width(stretch)
            self.at += len(stretch)
            if self._quotes and self._columns > self._quotes[0][1] + MAX_QUOTATION:
                self._cut_quotation()
            if self._columns > self._start_columns + self._most:
                self._cut_long()

    def pass_place(self, end: int, boundary: Boundary) -> None:
        """Read on to ``end``, where a long segment may be cut."""
        self.advance(end)
        self._best = _Place(end, self._columns, boundary)

    def read_again(self) -> None:
        """Go back to where the pending segment begins."""
        self.at = self.start
        self._columns = self._start_columns

    def end_sentence(self, marks_end: int, end: int, *, last: bool) -> None:
        """End a sentence outside quotations, whose spaces begin at ``marks_end``.

        Args:
            marks_end: Where its last mark ends.
            end: Where the spaces end.
            last: Whether it ends a line or the text, so that it waits for nothing.
        """
        self._quoted_ends.clear()
        if last or not self._waits(marks_end):
            self.cut(end, "sentence")
        else:
            self.pass_place(end, "sentence")
            self.ended = end

    def _waits(self, marks_end: int) -> bool:
        """Whether a sentence is so short that it joins the next one."""
        return self.spoken >= self._least and self.columns_to(marks_end) < self._least

    # --- quotations ---

    def open_quote(self, closing: str) -> None:
        """Note that a quotation begins at ``at``, which any code point of ``closing`` ends."""
        self._quotes.append((closing, self._columns))

    def closes_quote(self, char: str) -> bool:
        """Whether ``char`` would close a quotation that is open."""
        return any(char in closing for closing, _ in self._quotes)

    def close_quotes(self, marks: str) -> None:
        """Close the innermost quotation that each of ``marks`` closes, and those within it."""
        for char in marks:
            for index in range(len(self._quotes) - 1, -1, -1):
                if char in self._quotes[index][0]:
                    del self._quotes[index:]
                    break

    def pass_quoted_end(self, end: int) -> None:
        """Read on to ``end``, where a sentence ends within a quotation."""
        self.pass_place(end, "sentence")
        if self._quotes and self._best is not None and end > self.start:
            self._quoted_ends.append(self._best)

    def forget_quoted_ends(self) -> None:
        """Leave a quotation whole that has closed in time."""
        self._quoted_ends.clear()

    def forget_quotes(self) -> None:
        """Take all open quotations for none."""
        self._quotes.clear()
        self._quoted_ends.clear()

    def _cut_quotation(self) -> None:
        """Give out the sentences of a quotation that is too long to wait for."""
        places = list(self._quoted_ends)
        self.forget_quotes()
        for place in places:
            if self._waits(place.at):
                self.ended = place.at
            else:
                self.cut(place.at, "sentence")

    # --- cuts ---

    def _cut_long(self) -> None:
        """Cut a segment that has just got too long, unless a cluster is longer than that."""
        least = self._most // 3
        best = self._best
        if best and best.at < self.at and best.columns - self._start_columns >= least:
            self.cut(best.at, best.boundary)
            return
        pending = self.text[self.start : self.at]
        spaces = (index for index in range(len(pending) - 1, 0, -1) if pending[index - 1].isspace())
        space = next(spaces, 0)
        if pending[:space].strip() and width(pending[:space]) >= least:
            self.cut(self.start + space, "length")
            return
        limit = last_boundary(pending, len(pending) - 1)
        if limit:
            self.cut(self.start + limit, "length")

    def cut(self, end: int, boundary: Boundary, kind: Kind = "speech") -> None:
        """Give out the pending text up to ``end``."""
        text = self.text[self.start : end]
        self._cuts.append(Cut(text, self._offset + self.start, kind, boundary))
        if kind == "speech":
            self.spoken += width(text.strip())
        if end > self.at:
            self._columns += width(self.text[self.at : end])
            self.at = end
        self.start = end
        self._start_columns = self._columns - width(self.text[end : self.at])
        if self._best is not None and self._best.at <= end:
            self._best = None
        self._quoted_ends = [place for place in self._quoted_ends if place.at > end]
