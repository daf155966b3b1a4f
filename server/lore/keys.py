"""Finds keys in what was said.

A key counts as a word where its script puts spaces between words: ``cat`` is not in ``category``.
Japanese, Chinese, Korean and Thai words stand next to each other or to particles, so there it is
enough that the text holds the key. Widths and other compatibility forms are the same (NFKC), and so
are cases unless the entry minds.

A key that is written ``/pattern/flags``, as JavaScript would, is a regular expression. They come
with cards, from anybody, and a bad one takes for ever: each search has a deadline, all searches of
one turn have one together, and a pattern that was too slow is switched off for the session.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import regex

from server.errors import shorten

MAX_PATTERN_LENGTH = 400
"""Characters; a longer one is not used, as preparing it takes the square of its length and more."""
PATTERN_SECONDS = 0.01
"""After which a search is given up, and its pattern with it."""
TURN_SECONDS = 0.05
"""For all patterns of one turn; those behind find nothing then."""
MAX_SCANNED = 16_000
"""Characters of a text that are searched, from its end."""

_JAVASCRIPT = re.compile(r"/(?P<pattern>.+)/(?P<flags>[a-z]*)\Z", re.DOTALL)
_FLAGS = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL}
_PASSED_OVER = frozenset("gudvy")
_REWRITES = (
    (re.compile(r"\\u\{([0-9A-Fa-f]{1,6})\}"), lambda found: f"\\U{int(found[1], 16):08x}"),
    (re.compile(r"\\k<"), lambda _: r"\g<"),
    (re.compile(r"\[\^\]"), lambda _: r"[\s\S]"),
)
"""From JavaScript's way of writing to Python's."""

_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts whose words need no space around them."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """A text that is searched, in the forms that are asked for.

    Attributes:
        text: As it was said.
        plain: In compatibility form.
        folded: That without case.
    """

    text: str
    plain: str
    folded: str

    @classmethod
    def of(cls, text: str) -> Scanned:
        """Prepare a text; of a very long one the end."""
        text = text[-MAX_SCANNED:]
        plain = unicodedata.normalize("NFKC", text)
        return cls(text, plain, plain.casefold())


@dataclass(frozen=True, slots=True)
class KeyStyle:
    """How an entry's keys are to be read.

    Attributes:
        case_sensitive: Whether cases differ.
        whole_words: Whether words are not found within words.
        is_regex: Whether each key is a pattern, also without slashes.
    """

    case_sensitive: bool = False
    whole_words: bool = True
    is_regex: bool = False


class KeyFinder:
    """Finds keys; remembers which patterns have been switched off.

    Args:
        clock: Seconds from any start; only to share a turn's time among patterns.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._patterns: dict[tuple[str, bool], regex.Pattern[str] | None] = {}
        self._left = TURN_SECONDS
        self._problems: list[str] = []

    def begin_turn(self) -> None:
        """Give patterns their time again."""
        self._left = TURN_SECONDS

    def take_problems(self) -> list[str]:
        """What was wrong with patterns since the last call; each is told once."""
        problems, self._problems = self._problems, []
        return problems

    def finds(self, key: str, scanned: Scanned, style: KeyStyle) -> bool:
        """Whether a text holds a key; an empty key is in no text."""
        if style.is_regex or _is_pattern(key):
            return bool(key.strip()) and self._matches(key, scanned.text, style.case_sensitive)
        text = scanned.plain if style.case_sensitive else scanned.folded
        sought = _sought(key, style.case_sensitive)
        return bool(sought) and _holds(text, sought, style.whole_words)

    def _matches(self, key: str, text: str, case_sensitive: bool) -> bool:
        name = (key, case_sensitive)
        if self._left <= 0:
            return False
        started = self._clock()
        if name not in self._patterns:
            self._patterns[name] = self._compile(key, case_sensitive)
        pattern = self._patterns[name]
        if pattern is None:
            return False
        try:
            found = pattern.search(text, timeout=PATTERN_SECONDS) is not None
        except TimeoutError:
            found = False
            self._switch_off(name, f"took more than {PATTERN_SECONDS * 1e3:.0f} ms")
        except MemoryError:
            found = False
            self._switch_off(name, "takes too much memory")
        self._left -= max(self._clock() - started, 0.0)
        return found

    def _compile(self, key: str, case_sensitive: bool) -> regex.Pattern[str] | None:
        written = _JAVASCRIPT.match(key)
        source = written["pattern"] if written else key
        flags = 0 if written or case_sensitive else regex.IGNORECASE
        for letter in written["flags"] if written else "":
            if letter not in _FLAGS and letter not in _PASSED_OVER:
                self._refuse(key, f"{letter!r} is no flag of a regular expression")
                return None
            flags |= _FLAGS.get(letter, 0)
        if len(source) > MAX_PATTERN_LENGTH:
            length = len(source)
            self._refuse(key, f"it has {length} characters, and the limit is {MAX_PATTERN_LENGTH}")
            return None
        for form, rewrite in _REWRITES:
            source = form.sub(rewrite, source)
        try:
            return regex.compile(source, flags, cache_pattern=False)
        except (regex.error, RecursionError, OverflowError, ValueError, MemoryError) as error:
            self._refuse(key, str(error)[:80])
            return None

    def _switch_off(self, name: tuple[str, bool], why: str) -> None:
        self._patterns[name] = None
        self._refuse(name[0], why)

    def _refuse(self, key: str, why: str) -> None:
        self._problems.append(
            f"the lorebook's pattern {shorten(key)} is not used in this session: {why}; "
            "write it shorter or simpler"
        )


def _is_pattern(key: str) -> bool:
    return key.startswith("/") and _JAVASCRIPT.match(key) is not None


@functools.lru_cache(maxsize=1 << 14)
def _sought(key: str, case_sensitive: bool) -> str:
    """A plain key in the form of the text."""
    plain = unicodedata.normalize("NFKC", key.strip())
    return plain if case_sensitive else plain.casefold()


def _holds(text: str, key: str, whole_words: bool) -> bool:
    """Whether a text holds a key, where it counts."""
    opens = whole_words and _needs_space(key[0])
    closes = whole_words and _needs_space(key[-1])
    place = text.find(key)
    while place >= 0:
        end = place + len(key)
        is_open = not opens or place == 0 or not _needs_space(text[place - 1])
        if is_open and (not closes or end == len(text) or not _needs_space(text[end])):
            return True
        place = text.find(key, place + 1)
    return False


@functools.lru_cache(maxsize=1 << 14)
def _needs_space(character: str) -> bool:
    """Whether it belongs to a word that goes on until a space."""
    is_letter = character.isalnum() or unicodedata.category(character) == "Mn"
    return is_letter and _SPACELESS.match(character) is None
