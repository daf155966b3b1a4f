"""What a segment is, and how long segments are."""

from __future__ import annotations

from dataclasses import dataclass

from server.errors import InvalidValue, shorten
from server.speech.pending import Boundary, Kind

MAX_COLUMNS = 1_000
"""The most that ``SegmentRules.max`` may be; nobody speaks more in one breath."""

LANGUAGES = ("ja", "zh", "en")
"""What a segment may be in."""

_LANGS = ", ".join(LANGUAGES)


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

    langs: tuple[str, ...] = LANGUAGES
    """The languages that a segment may be in; the first stands for any other."""

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            InvalidValue: A length is out of range, or a language is unknown.
        """
        bounds = (("min", self.max), ("first_min", self.max), ("max", MAX_COLUMNS))
        for name, most in bounds:
            value = getattr(self, name)
            if not 1 <= value <= most:
                problem = f"{name} is {value}; use 1 to {most} columns, and no more than max"
                raise InvalidValue(f"session.character.segment.{name}", problem)
        unknown = [lang for lang in self.langs if lang not in LANGUAGES]
        if unknown or not self.langs:
            problem = f"langs has {shorten(unknown[0])}" if unknown else "langs is empty"
            raise InvalidValue("session.character.segment.langs", f"{problem}; use {_LANGS}")
