"""A fence of code in a reply: pieces of bounded length, whether it closes or not."""

from __future__ import annotations

from engine.graphemes import last_boundary
from server.speech.pending import Pending
from server.speech.sentence_ends import read_spaces

MAX_CODE = 2_000
"""Code points of code in one segment."""

MAX_FENCE = 16_000
"""A fence that has not closed after so many code points was none."""


class Fence:
    """One fence, from its opening backticks on.

    Args:
        ticks: How many backticks opened it; as many close it.

    Attributes:
        over: Whether it has closed, or is taken for none because it never does.
    """

    def __init__(self, ticks: int) -> None:
        self.over = False
        self._ticks = "`" * ticks
        self._length = 0  # code points given out

    def read(self, pending: Pending, *, final: bool) -> bool:
        """Read on in it, and cut off a piece or its end.

        Returns:
            Whether anything was cut off; otherwise more text is needed.
        """
        close = pending.text.find(self._ticks, pending.at)
        # Before this place it certainly does not close.
        known = close if close >= 0 else len(pending.text) - len(self._ticks) + 1
        if known > pending.start + MAX_CODE:
            self._cut_piece(pending)
            return True
        if close < 0:
            pending.at = max(pending.at, known)
            return False
        pending.at = close
        end = read_spaces(pending.text, close + len(self._ticks), final=final)
        if end is None:
            return False
        pending.cut(end, "sentence", "code")
        self.over = True
        return True

    def _cut_piece(self, pending: Pending) -> None:
        """Cut a long piece off, at a line's end if there is one."""
        limit = pending.start + MAX_CODE
        end = pending.text.rfind("\n", pending.start, limit) + 1
        if not end:
            piece = pending.text[pending.start : limit + 1]
            end = pending.start + (last_boundary(piece, MAX_CODE) or MAX_CODE)
        self._length += end - pending.start
        pending.cut(end, "length", "code")
        if self._length > MAX_FENCE:
            self.over = True
            pending.read_again()
