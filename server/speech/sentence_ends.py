"""Whether a mark ends a sentence, and what still belongs to the sentence behind it.

Every function reads ``text`` at a place and answers ``None`` when the answer could still change
with text that has not come yet; with ``final`` the text ends here, and there is always an answer.
An answer once given holds, whatever follows: that makes a segmenter independent of chunks.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from engine.graphemes import last_boundary
from server.speech.languages import WIDE, word_set

MAX_TAIL = 32
"""So many marks, closing quotes and emoji in a row belong to the sentence before them."""

MAX_SPACES = 64
"""So many spaces belong to the sentence before them."""

_MAX_WORD = 40  # what stands before a full stop is read back so far

ENDERS = frozenset("。．｡！？!?.‼⁇⁈⁉")
ELLIPSES = frozenset("…‥⋯")
NOTES = frozenset("♪♫♬♡♥❤")
STARS = frozenset("☆★")
CLOSERS = frozenset("」』）)”’】》〉〕｝}］]»›＂｣")
# What goes on after 「…！」: a particle, not a word that begins like one.
_JOINED = re.compile(
    "[、，,;a-z]|と(?![てきこもりなにく])|っ|は(?![いっあじやは])|が(?![んー])|を|の(?![んど])|な[んの][だのて]?"
)
_MAX_JOINED = 3
_JOINED_STARTS = frozenset("とはがのな")
_IN_NAMES = frozenset("/\\_-@#%&=+~^$<|")  # directly after a mark: an address, code, a name
_OPENERS = "(\"'“‘[「『（*_<《"
_ELLIPSIS = re.compile("[…‥⋯.]+")
_FACE = re.compile(r"[:;=][-']?[()DPpOo3*/|]")
_FACE_STARTS = frozenset(":;=")
_MAX_FACE = 3
_WIDE = re.compile(f"[{WIDE}]")
_DOTTED = re.compile(r"[^\W\d_]{1,2}(\.[^\W\d_]{1,2})+")
_NEXT_WORD = re.compile(r"[^\W\d_'’]{1,10}")
_MAX_NEXT_WORD = 10

# No sentence ends here, whatever follows.
_TITLES = word_set(
    "dr mr mrs ms mx prof rev hon gen col capt cpt lt sgt maj cmdr adm sen rep gov supt mt "
    "ft fr sr.a vs v cf viz approx ca e.g i.e eg ie mlle mme messrs ver"
)
# No sentence ends here before a number.
_NUMBERED = word_set(
    "no nos nr fig figs vol vols ch chap p pp sec sect art op eq ep par pt jan feb mar apr jun "
    "jul aug sep sept oct nov dec tel ext"
)
# No sentence ends here before a small letter.
_UNITS = word_set(
    "b c d e f g h j k l m n o p q r s t w x y z km kg cm mm ft lb lbs oz mi yd ml kb mb gb tb"
)
# A sentence ends here before a capital letter.
_MAYBE = word_set("etc inc ltd co corp jr sr bros dept univ al a.m p.m est min max hr hrs")
# A sentence ends at a name's letters or at U.S. before one of these.
_STARTERS = word_set(
    "A After All Also And Any Are As At Because Before But By Can Did Do Does Don Every For "
    "From Good He Her Here Hey His How However I If In Is It Its Let Maybe My Never No Nobody "
    "Not Now Of Oh On One Or Our Please She Should So Some Sorry Still Thanks That The Their "
    "Then There These They This Those Though Today Tomorrow Want Was We Well Were What When "
    "Where Which While Who Why Will With Would Yes Yet You Your"
)


@dataclass(frozen=True, slots=True)
class Tail:
    """What belongs to a sentence behind the mark that ended it.

    Attributes:
        marks_end: Where the marks, closing quotes and emoji end.
        end: Where the spaces after them end, too.
        newline: Whether there is a line's end among those spaces.
        goes_on: Whether the sentence goes on after a quotation, as in ``"Stop!" he said``.
        following: The code point after it all; empty at the end of the text.
    """

    marks_end: int
    end: int
    newline: bool
    goes_on: bool
    following: str


def is_wide(char: str) -> bool:
    """Whether an East Asian character of two columns."""
    return _WIDE.match(char) is not None


def is_emoji(char: str) -> bool:
    """Whether a symbol, a skin tone, or what joins or follows symbols."""
    if char < "\u0300":
        return False
    category = unicodedata.category(char)
    return (
        category in ("So", "Mn", "Me") or char == "\u200d" or "\U0001f3fb" <= char <= "\U0001f3ff"
    )


def read_spaces(text: str, at: int, *, final: bool) -> int | None:
    """Where the spaces from ``at`` on end."""
    limit = min(len(text), at + MAX_SPACES)
    end = at
    while end < limit and text[end].isspace():
        end += 1
    return None if end == len(text) and end < at + MAX_SPACES and not final else end


def read_tail(text: str, at: int, *, in_quotes: bool, final: bool) -> Tail | None:
    """Read what belongs to the sentence whose last mark stands right before ``at``.

    More marks and closing quotes, emoji, the spaces, and emoji on the same line after these.
    """
    quoted = False
    place = at
    while True:
        read = _read_marks(text, place, at + MAX_TAIL, in_quotes=in_quotes, final=final)
        if read is None:
            return None
        marks_end, closed = read
        quoted = quoted or closed
        end = read_spaces(text, marks_end, final=final)
        if end is None:
            return None
        newline = "\n" in text[marks_end:end]
        following = text[end : end + 1]
        place = end
        if end > marks_end and end < at + MAX_TAIL and not newline:
            if is_emoji(following):
                continue
            if following and following in _FACE_STARTS:
                if len(text) < end + _MAX_FACE and not final:
                    return None
                face = _FACE.match(text, end)
                if face is not None:
                    place = face.end()
                    continue
        goes_on = False
        if quoted and following and not newline:
            if following in _JOINED_STARTS and len(text) < end + _MAX_JOINED and not final:
                return None
            goes_on = _JOINED.match(text, end) is not None
        return Tail(marks_end, end, newline, goes_on, following)


def _read_marks(
    text: str, at: int, limit: int, *, in_quotes: bool, final: bool
) -> tuple[int, bool] | None:
    quoted = False
    begin = at
    while at < limit:
        if at == len(text):
            return (at, quoted) if final else None
        char = text[at]
        if char in CLOSERS:
            quoted = True
        elif char in ELLIPSES:
            # "え？……" may end so, but an ellipsis before words is theirs.
            run = _ELLIPSIS.match(text, at, at + MAX_TAIL)
            end = at if run is None else run.end()
            if end == len(text) and not final:
                return None
            after = text[end : end + 1]
            if after.strip() and after not in CLOSERS:
                break
            at = end - 1
        elif char in "\"'*":
            if at + 1 == len(text) and not final:
                return None
            after = text[at + 1 : at + 2]
            if char != "*" and (in_quotes * (char == '"') or not after or after.isspace()):
                quoted = True
            elif char == "*" and after == "*":
                at += 1
            else:
                break
        elif not (char in ENDERS or is_emoji(char)):
            break
        at += 1
    else:
        if at >= len(text) and not final:
            return None
        at = begin + (last_boundary(text[begin : at + 1], at - begin) or at - begin)
    return at, quoted


def mark_ends(text: str, at: int, start: int, *, final: bool) -> bool | None:
    """Whether the mark at ``at``, one of ``ENDERS``, ends the sentence that began at ``start``.

    Look-ahead: none for ``。`` and the wide ``！？``; one code point for ``!`` and ``?``; for a
    full stop, the first code point after the spaces, or after initials and ``U.S.`` the next word.
    """
    char = text[at]
    if char in "!?":
        return _ascii_mark_ends(text, at, start, final=final)
    if char == ".":
        return _stop_ends(text, at, start, final=final)
    if char == "．":
        if at + 1 == len(text) and not final:
            return None
        before, after = text[start:at].strip(), text[at + 1 : at + 2]
        return not (before[-1:].isdigit() and (after.isdigit() or before.isdigit()))
    return True


def _ascii_mark_ends(text: str, at: int, start: int, *, final: bool) -> bool | None:
    if at + 1 == len(text):
        return True if final else None
    after = text[at + 1]
    if not after.isascii() or after.isspace() or not (after.isalnum() or after in _IN_NAMES):
        return True
    # "Hi!How" misses a space; "x?q=1" does not.
    word = _word_before(text, at, start)
    return after.isupper() and not any(char in "/.=&@:\\" for char in word)


def _stop_ends(text: str, at: int, start: int, *, final: bool) -> bool | None:
    if at + 1 == len(text):
        return True if final else None
    after = text[at + 1]
    if after.isascii() and (after.isalnum() or after in _IN_NAMES or after in ",;:"):
        return False
    if after == "'":
        if at + 2 == len(text) and not final:
            return None
        if text[at + 2 : at + 3].strip():
            return False
    spaces_end = read_spaces(text, at + 1, final=final)
    if spaces_end is None:
        return None
    spaced = spaces_end > at + 1
    if "\n" in text[at + 1 : spaces_end]:
        return False  # the line's end will do it
    word = _word_before(text, at, start)
    begins_line = not text[start : at - len(word)].strip(_OPENERS + " \t\u3000")
    if begins_line and spaced and (_is_list_number(word)):
        return False
    return _word_ends(text, word, spaces_end, spaced=spaced, final=final)


def _word_ends(text: str, word: str, following: int, *, spaced: bool, final: bool) -> bool | None:
    """Whether a sentence ends at ``word`` and a full stop, ``following`` being what comes after."""
    low = word.lower()
    char = text[following : following + 1]
    if low in _TITLES:
        return not char
    if low == "st":
        return _starts(text, following, final=final)
    if low in _NUMBERED:
        return not char.isdigit()
    if low in _UNITS and char.islower():
        return False
    initial = len(word) == 1 and word.isalpha() and word.isascii() and word.isupper()
    dotted = _DOTTED.fullmatch(word) is not None
    if low not in _MAYBE and not dotted and not initial:
        return True
    if not char:
        return True
    if not spaced and is_wide(char):
        return low in _MAYBE and not dotted
    if not char.isalnum():
        return True
    if low in _MAYBE or is_wide(char):
        return not char.islower() and not char.isdigit()
    if word == "I":
        pair = text[following : following + 2]
        return None if len(pair) < 2 and not final else not (pair[:1].isupper() and pair[1:] == ".")
    return _starts(text, following, final=final)


def _starts(text: str, at: int, *, final: bool) -> bool | None:
    """Whether a word that begins sentences stands at ``at``."""
    match = _NEXT_WORD.match(text, at)
    end = at if match is None else match.end()
    if end == len(text) and end - at < _MAX_NEXT_WORD and not final:
        return None
    return text[at:end] in _STARTERS or at == len(text)


def _is_list_number(word: str) -> bool:
    return (word.isdigit() and len(word) <= 3) or (len(word) == 1 and word.isascii())


def _word_before(text: str, at: int, start: int) -> str:
    begin = at
    while begin > start and at - begin < _MAX_WORD:
        char = text[begin - 1]
        if char.isspace() or is_wide(char):
            break
        begin -= 1
    return text[begin:at].lstrip(_OPENERS)
