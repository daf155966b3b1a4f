r"""Takes tags out of a stream of text: ``[happy] Hello`` → a face, and ``Hello``.

::

    [happy]  [happy:0.6]       a face, perhaps a weak one: 0.1 to 1.0, one or two decimals
    [motion:wave]              a motion

Only declared names in square brackets are tags, in either case; every other bracket is text. The
result does not depend on how the stream was cut. The rules, on the whole text:

* A tag vanishes, and says at which code point of the clean text it stood.
* Spaces around a tag, or around several in a row, become one run: of the parts before, between and
  after the tags, the one with the most line ends, and of equals the first. ``a [sad] b`` → ``a b``.
* Spaces before the first word vanish, and so do spaces beside a tag at the very end.
* Without declared names, every text stays exactly as it is.

What is held back: text from a ``[`` that can still become a tag, at most a tag's length; and
spaces, at most ``MAX_HELD_SPACES``, until it is known whether a tag follows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

MAX_HELD_SPACES = 64
"""A run of this many spaces is text at once; nobody speaks pauses of such length."""


class TextPiece(msgspec.Struct, frozen=True, gc=False):
    """Clean text, to be appended to what came before."""

    text: str


@dataclass(frozen=True, slots=True)
class ExpressionTag:
    """A face.

    Attributes:
        name: As it was declared, whatever case the model wrote.
        offset: Code points of clean text before it, held spaces right before it not counted.
        weight: 1 for the whole face.
    """

    name: str
    offset: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class MotionTag:
    """A motion of the body; see `ExpressionTag`."""

    name: str
    offset: int


Piece = TextPiece | ExpressionTag | MotionTag

_WEIGHTS = frozenset(
    [f"0.{digit}" for digit in range(1, 10)]
    + [f"0.{digits}" for digits in range(10, 100)]
    + ["1.0", "1.00"]
)
_WEIGHT_BEGINNINGS = frozenset(weight[:end] for weight in _WEIGHTS for end in range(5))


class _TagTable:
    """What is a tag, and what may become one; in lower case, brackets included."""

    __slots__ = ("_beginnings", "_faces", "_tags")

    def __init__(self, expressions: Iterable[str], motions: Iterable[str]) -> None:
        self._faces = {f"[{name.lower()}": name for name in expressions}
        self._tags: dict[str, tuple[type[ExpressionTag | MotionTag], str]] = {}
        self._tags.update((f"{face}]", (ExpressionTag, n)) for face, n in self._faces.items())
        self._tags.update((f"[motion:{name.lower()}]", (MotionTag, name)) for name in motions)
        self._beginnings = {tag[:end] for tag in self._tags for end in range(1, len(tag))}

    def __bool__(self) -> bool:
        return bool(self._tags)

    def find(self, text: str, offset: int) -> ExpressionTag | MotionTag | None:
        """Return the tag that is the whole text, if it is one."""
        found = self._tags.get(text)
        if found is not None:
            kind, name = found
            return kind(name, offset)
        face, _, weight = text.removesuffix("]").rpartition(":")
        if face in self._faces and weight in _WEIGHTS and text.endswith("]"):
            return ExpressionTag(self._faces[face], offset, float(weight))
        return None

    def can_become_one(self, text: str) -> bool:
        """Whether more text could make it a tag."""
        if text in self._beginnings:
            return True
        face, colon, weight = text.rpartition(":")
        return bool(colon) and face in self._faces and weight in _WEIGHT_BEGINNINGS


@functools.lru_cache(maxsize=256)
def _table(expressions: tuple[str, ...], motions: tuple[str, ...]) -> _TagTable:
    return _TagTable(expressions, motions)


class TagParser:
    """Parses one reply, fed in any pieces.

    Args:
        expressions: Names of faces.
        motions: Names of motions. Names hold no ``:``, so that no face can look like a motion.
    """

    __slots__ = (
        "_best_run",
        "_clean_length",
        "_pending",
        "_run",
        "_saw_tag",
        "_table",
    )

    def __init__(self, expressions: Iterable[str], motions: Iterable[str] = ()) -> None:
        self._table = _table(tuple(expressions), tuple(motions))
        self._clean_length = 0
        self._pending = ""  # from a "[" on, as written: the beginning of a tag, perhaps
        self._run = ""  # spaces since the last word or tag
        self._saw_tag = False  # a tag stands between the last word and here
        self._best_run = ""  # of the spaces between that word and the last tag

    @property
    def clean_length(self) -> int:
        """Code points of clean text given out so far."""
        return self._clean_length

    def feed(self, text: str) -> list[Piece]:
        """Take more raw text; return what is certain now, in order and with texts joined."""
        if not self._table:
            self._clean_length += len(text)
            return [TextPiece(text)] if text else []
        pieces: list[Piece] = []
        shown = self._skim(text)
        if shown is None:
            shown = ""
            for character in text:
                tag = self._step(character)
                if isinstance(tag, str):
                    shown += tag
                    continue
                if shown:
                    pieces.append(TextPiece(shown))
                    shown = ""
                pieces.append(tag)
        if shown:
            pieces.append(TextPiece(shown))
        return pieces

    def finish(self, *, at_stop_string: bool = False) -> list[Piece]:
        """End the reply; what was held back is text after all.

        Args:
            at_stop_string: A stop string ended it, perhaps inside a tag: half a tag is dropped,
                with the spaces before it.
        """
        if at_stop_string and self._pending:
            self._pending = self._run = ""
            return []
        shown = self._show(self._pending) if self._pending else ""
        self._pending = ""
        if not self._saw_tag and self._clean_length:
            shown += self._run
            self._clean_length += len(self._run)
        self._run = ""
        return [TextPiece(shown)] if shown else []

    @property
    def held(self) -> str:
        """The end of the raw text that is held back right now.

        A reply that is cut off leaves it out, and does not call ``finish``.
        """
        return self._run + self._pending

    def _skim(self, text: str) -> str | None:
        """Handle the usual piece, some words without a bracket, in one go; else return ``None``."""
        if self._pending or "[" in text:
            return None
        words = text.strip()
        if not words or len(self._run) + len(text) - len(words) >= MAX_HELD_SPACES:
            return None
        start = text.index(words[0])
        self._run += text[:start]
        shown = self._show(words)
        self._run = text[start + len(words) :]
        return shown

    def _step(self, character: str) -> str | ExpressionTag | MotionTag:
        """Take one code point; return the text it releases (often none), or the tag it ends."""
        released = ""
        if self._pending:
            grown = self._pending + character
            tag = self._table.find(grown.lower(), self._clean_length) if character == "]" else None
            if tag is not None:
                self._end_tag()
                return tag
            if self._table.can_become_one(grown.lower()):
                self._pending = grown
                return ""
            released = self._show(self._pending)
            self._pending = ""
        if character == "[":
            self._pending = character
            return released
        if not character.isspace():
            return released + self._show(character)
        self._run += character
        if len(self._run) >= MAX_HELD_SPACES:
            released += self._show("")
        return released

    def _end_tag(self) -> None:
        self._pending = ""
        self._best_run = _choose_run(self._best_run, self._run) if self._saw_tag else self._run
        self._run = ""
        self._saw_tag = True

    def _show(self, words: str) -> str:
        """Release the held spaces, as one run, and the words after them."""
        run = _choose_run(self._best_run, self._run) if self._saw_tag else self._run
        if self._clean_length == 0:
            run = ""
        self._run = self._best_run = ""
        self._saw_tag = False
        self._clean_length += len(run) + len(words)
        return run + words


def strip_tags(text: str, expressions: Iterable[str], motions: Iterable[str] = ()) -> str:
    """Return the clean text of a whole reply, greeting or message."""
    parser = TagParser(expressions, motions)
    pieces = parser.feed(text) + parser.finish()
    return "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))


def cut_raw_text(
    raw: str, expressions: Iterable[str], text_end: int, motions: Iterable[str] = ()
) -> str:
    """Return the shortest beginning of ``raw`` whose clean text reaches ``text_end`` code points.

    A tag right after that point is left out, a tag before it stays.
    """
    parser = TagParser(expressions, motions)
    if text_end <= 0:
        return ""
    for index, character in enumerate(raw):
        num_words = len(parser._pending)
        parser.feed(character)
        over = parser.clean_length - text_end
        if over >= 0:
            # One code point may release more than itself: the spaces before it, which stay whole,
            # and a "[" that began no tag after all, which is cut like any word.
            end = index
            if not character.isspace() and not parser._pending:
                num_words += 1
                end += 1
            return raw[: end - min(over, num_words)]
    num_words = len(parser._pending)
    parser.finish()
    return raw[: len(raw) - min(max(parser.clean_length - text_end, 0), num_words)]


def _choose_run(first: str, second: str) -> str:
    """Of two runs of spaces: the one with more line ends, of equals the first that is not empty."""
    if second.count("\n") > first.count("\n"):
        return second
    return first or second
