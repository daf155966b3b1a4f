"""Where a stream of text may be cut so that no grapheme cluster is ever split (UAX #29).

A batch algorithm asks "is there a boundary here?"; a stream has to ask "is there a boundary here
whatever comes next, and wherever the text was cut before?". So these rules look only at what lies
before a place and at the one code point after it, and where the standard needs data that Python
does not carry they err on the side of *joining*: the worst that can happen is that some rare
sequence waits for one more code point. Code points that this Python's Unicode tables do not know
yet count as joining on both sides, which keeps the promise for newer text.
"""

from __future__ import annotations

import unicodedata

MAX_CLUSTER = 128
"""Longest run of joined code points that is waited for.

UAX #15 calls thirty combining marks in a row the limit of sensible text. A model that is stuck on
a combining mark must neither hide its whole reply nor let the buffer grow with it.
"""

_PLAIN, _CR, _CONTROL, _REGIONAL, _MARK, _VIRAMA, _ZWJ, _PREPEND, _LETTER, _UNKNOWN = range(10)
_HANGUL_L, _HANGUL_V, _HANGUL_T, _HANGUL_LV, _HANGUL_LVT = range(10, 15)

# What a code point of these classes extends, whatever stands before it (GB9, GB9a).
_EXTENDING = frozenset({_MARK, _VIRAMA, _ZWJ, _UNKNOWN})

# Grapheme_Cluster_Break=Prepend of Unicode 17: nothing in unicodedata tells them apart.
_PREPENDED = frozenset(
    [
        *range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x0D4E, 0x110BD, 0x110CD,
        0x111C2, 0x111C3, 0x113D1, 0x1193F, 0x11941, *range(0x11A84, 0x11A8A), 0x11D46, 0x11F02,
    ]
)  # fmt: skip

# Marks by behaviour whose general category is not a mark: ZWNJ, Thai and Lao AM, halfwidth
# dakuten and handakuten; emoji skin tones and tag characters are ranges, see _classify.
_MARKS = frozenset([0x200C, 0x0E33, 0x0EB3, 0xFF9E, 0xFF9F])

# Conjunct linkers that are no marks; treated as joining on both sides.
_LINKERS = frozenset([0x1CF5, 0x1CF6, 0x11A3A])

# Hangul syllable pairs that join (GB6-GB8).
_HANGUL_JOINS = frozenset(
    [
        *((_HANGUL_L, b) for b in (_HANGUL_L, _HANGUL_V, _HANGUL_LV, _HANGUL_LVT)),
        *((a, b) for a in (_HANGUL_LV, _HANGUL_V) for b in (_HANGUL_V, _HANGUL_T)),
        *((a, _HANGUL_T) for a in (_HANGUL_LVT, _HANGUL_T)),
    ]
)


def _classify(char: str) -> int:
    code = ord(char)
    if code == 0x0D:
        return _CR
    if code == 0x200D:
        return _ZWJ
    if code in _LINKERS:
        return _UNKNOWN
    if code in _PREPENDED:
        return _PREPEND
    if code in _MARKS or 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F:
        return _MARK
    if 0x1F1E6 <= code <= 0x1F1FF:
        return _REGIONAL
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return _HANGUL_L
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return _HANGUL_V
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return _HANGUL_T
    if 0xAC00 <= code <= 0xD7A3:
        return _HANGUL_LVT if (code - 0xAC00) % 28 else _HANGUL_LV
    category = unicodedata.category(char)
    if category in ("Cc", "Zl", "Zp"):
        return _CONTROL
    if category in ("Mn", "Mc", "Me"):
        return _VIRAMA if unicodedata.combining(char) == 9 else _MARK
    if category == "Cn":
        return _UNKNOWN
    # Letters of the scripts that form conjuncts; kana, Han and Latin are on either side of them.
    if category == "Lo" and (
        0x0900 <= code <= 0x1CFF or 0xA840 <= code <= 0xABFF or code >= 0x10A00
    ):
        return _PLAIN if 0x20000 <= code <= 0x3FFFF else _LETTER
    return _PLAIN


class _Classes(dict[str, int]):
    """Class by character, filled as characters turn up; bounded by the repertoire of Unicode."""

    def __missing__(self, char: str) -> int:
        value = self[char] = _classify(char)
        return value


_classes = _Classes()


def last_boundary(text: str, limit: int) -> int:
    """The last place, at most ``limit``, where ``text`` can be cut whatever follows it.

    Args:
        text: Must begin at a cluster boundary.
        limit: At most ``len(text)``; a cut here counts only if what follows cannot matter.

    Returns:
        How many code points may go out; 0 when none may.
    """
    at = min(limit, len(text) - 1)
    if 0 <= at < limit and _classes[text[at]] == _CONTROL:
        return limit  # GB4: nothing ever joins a control character, except LF a CR before it
    while at > 0 and not _breaks(text, at):
        at -= 1
    return at if limit - at <= MAX_CLUSTER else limit


def _breaks(text: str, at: int) -> bool:
    """Whether a cluster certainly ends before ``text[at]``."""
    before, after = _classes[text[at - 1]], _classes[text[at]]
    if before == _PLAIN and after == _PLAIN:
        return True
    if before == _CR:
        return text[at] != "\n"  # GB3
    if before == _CONTROL or after in (_CONTROL, _CR):
        return True  # GB4, GB5
    if after in _EXTENDING or before in (_PREPEND, _ZWJ, _UNKNOWN):
        return False  # GB9, GB9a, GB9b; and GB11 without asking what the ZWJ joins
    if before == _REGIONAL and after == _REGIONAL:
        return _regional_run(text, at) % 2 == 0  # GB12, GB13
    if before >= _HANGUL_L and after >= _HANGUL_L:
        return (before, after) not in _HANGUL_JOINS
    # GB9c: a virama and perhaps more marks link a letter to the one before them.
    return not (after == _LETTER and before in (_MARK, _VIRAMA) and _linked(text, at))


def _regional_run(text: str, at: int) -> int:
    start = at
    while start > 0 and _classes[text[start - 1]] == _REGIONAL:
        start -= 1
    return at - start


def _linked(text: str, at: int) -> bool:
    while at > 0:
        kind = _classes[text[at - 1]]
        if kind in (_VIRAMA, _UNKNOWN):
            return True
        if kind not in (_MARK, _ZWJ):
            return False
        at -= 1
    return False
