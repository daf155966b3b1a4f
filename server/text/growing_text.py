"""Text that comes in many short pieces and is read seldom."""

from __future__ import annotations

_FOLD_PIECES = 64
"""A short string takes some sixty bytes beside its letters, and one that is not ASCII more."""


class GrowingText:
    """A text that is appended to.

    Attributes:
        num_chars: Code points of it.
    """

    __slots__ = ("_pieces", "num_chars")

    def __init__(self, text: str = "") -> None:
        """Begin with some text."""
        self._pieces = [text]
        self.num_chars = len(text)

    def append(self, text: str) -> None:
        """Take more in."""
        self._pieces.append(text)
        self.num_chars += len(text)
        if len(self._pieces) > _FOLD_PIECES:
            self.read()

    def read(self) -> str:
        """All of it."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]
