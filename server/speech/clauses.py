"""Where a clause ends inside a sentence: commas, colons, dashes, ellipses.

As in ``sentence_ends``, ``None`` means that text which has not come yet could change the answer,
and an answer once given holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.speech.sentence_ends import CLOSERS, ELLIPSES, ENDERS, read_spaces

SOFT = frozenset("、，；：,;:")
DASHES = frozenset("—―–─-")

_MAX_RUN = 16  # of dashes or dots that are one mark
_DOTS = ELLIPSES | {"."}


@dataclass(frozen=True, slots=True)
class ClauseMark:
    """A mark that may end a clause.

    Attributes:
        marks_end: Where it ends.
        end: Where the spaces after it end, if it is ``soft``, and else ``marks_end``.
        soft: Whether a clause ends there, and the sentence goes on.
    """

    marks_end: int
    end: int
    soft: bool


def read_clause_mark(text: str, at: int, start: int, *, final: bool) -> ClauseMark | None:
    """Read the comma, colon, dash or ellipsis at ``at``, in the segment that began at ``start``.

    No clause ends in ``1,000``, ``12:30``, ``May 5, 2026``, ``well-known`` or ``3–5``, before a
    closing quote, or where the line or the sentence ends anyway.
    """
    char = text[at]
    end = _run_end(text, at)
    if end == len(text) and not final:
        return None
    before = text[at - 1] if at > start else ""
    after = text[end : end + 1]
    if char in _DOTS:
        soft = after not in ENDERS
    elif char == "-" and end == at + 1:
        soft = before.isspace() and after.isspace()
    elif char in ",;:":
        soft = after.isspace()
    else:
        soft = not (before.isdigit() and after.isdigit())
    return read_clause_tail(text, end, final=final) if soft else ClauseMark(end, end, False)


def read_clause_tail(text: str, marks_end: int, *, final: bool) -> ClauseMark | None:
    """Read the spaces behind a mark that ended at ``marks_end`` and may end a clause."""
    end = read_spaces(text, marks_end, final=final)
    if end is None:
        return None
    spaces, after = text[marks_end:end], text[end : end + 1]
    closes = after in CLOSERS or (after == '"' and not spaces)
    counts = text[marks_end - 1] == "," and after.isdigit()
    if not after or closes or counts or "\n" in spaces:
        return ClauseMark(marks_end, marks_end, False)
    return ClauseMark(marks_end, end, True)


def _run_end(text: str, at: int) -> int:
    """Where the run of equal dashes, or of dots, that begins at ``at`` ends."""
    char = text[at]
    same = _DOTS if char in _DOTS else {char} & DASHES
    end = at + 1
    while end < len(text) and end - at < _MAX_RUN and text[end] in same:
        end += 1
    return end
