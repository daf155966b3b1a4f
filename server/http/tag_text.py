"""Expression tags in a chat completion: taken out, or kept where an avatar front end wants them."""

from __future__ import annotations

from collections.abc import Iterable

from server.http.completions_body import TagDialect
from server.text.tags import ExpressionTag, Piece, TagParser, TextPiece


class TagText:
    """Turns one reply's raw text into what its client asked to see.

    ``strip`` gives clean text. ``aituber`` gives ``[happy]Hello``: the tag as its character
    declares it, right before the words it goes with.
    """

    def __init__(self, expressions: Iterable[str], dialect: TagDialect = "strip") -> None:
        self._parser = TagParser(expressions)
        self._keeps_tags = dialect == "aituber"

    def feed(self, text: str) -> str:
        """Take more raw text in; return what can be shown now."""
        return self._render(self._parser.feed(text))

    def finish(self) -> str:
        """Return what was held back, once the reply has ended."""
        return self._render(self._parser.finish())

    def _render(self, pieces: Iterable[Piece]) -> str:
        shown = []
        for piece in pieces:
            match piece:
                case TextPiece():
                    shown.append(piece.text)
                case ExpressionTag() if self._keeps_tags:
                    shown.append(f"[{piece.name}]")
        return "".join(shown)
