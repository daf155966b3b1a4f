"""Replaces the letters of words by others of their kind; lengths, spaces and punctuation stay.

A word is a run of characters of one kind: Latin letters, kana, kanji, digits. What it becomes is
drawn from a hash of the word and a salt, so that equal words of one file stay equal, and nobody can
look a word up who has not the salt. Letters are replaced within a range of code points that takes
as many bytes of UTF-8. How often a word is said is still to be seen, and so is its length.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cache, lru_cache
from itertools import groupby

SALT_BYTES = 16
_WIDE = {
    "hiragana": (0x3041, 0x3096),
    "katakana": (0x30A1, 0x30FA),
    "han": (0x4E00, 0x9FFF),
    "hangul": (0xAC00, 0xD7A3),
}
"""Scripts whose letters are replaced by any of theirs; others by any of the same Unicode block."""
_BLOCK = 128
_KEPT = ("P", "Z", "S", "Cc", "Cf", "Cs")
"""General categories that stay: punctuation, separators, symbols, controls."""
_BYTES_PER_LETTER = 4
_CACHED_LETTERS = 8192


def redact(text: str, salt: bytes) -> str:
    """Return a text of the same shape without its words.

    Args:
        text: What somebody said.
        salt: Of the file; random, and thrown away with it.
    """
    runs = ((kind, "".join(run)) for kind, run in groupby(text, _kind))
    return "".join(run if kind is None else _replace(run, salt) for kind, run in runs)


def _replace(word: str, salt: bytes) -> str:
    """Draw a word's letters; the case of a letter changes nothing about those beside it."""
    seed = salt + word.lower().encode("utf-8", "surrogatepass")
    drawn = memoryview(hashlib.shake_256(seed).digest(_BYTES_PER_LETTER * len(word))).cast("I")
    letters = []
    for letter, number in zip(word, drawn, strict=True):
        alike = _alike(letter)
        letters.append(alike[number % len(alike)])
    return "".join(letters)


@lru_cache(_CACHED_LETTERS)
def _alike(letter: str) -> str:
    """All letters that may stand for this one."""
    kind = _kind(letter)
    if kind in _WIDE:
        first, last = _WIDE[kind]
        return _range(first, last, "")
    first = ord(letter) // _BLOCK * _BLOCK
    return _range(first, first + _BLOCK - 1, unicodedata.category(letter))


@cache
def _range(first: int, last: int, category: str) -> str:
    """Letters of a range and, where that is said, of a category; Unicode has so many of these."""
    letters = map(chr, range(first, last + 1))
    return "".join(one for one in letters if category in ("", unicodedata.category(one)))


@lru_cache(_CACHED_LETTERS)
def _kind(letter: str) -> str | None:
    """What makes up words with it; ``None`` for what stays as it is."""
    code = ord(letter)
    for name, (first, last) in _WIDE.items():
        if first <= code <= last:
            return name
    category = unicodedata.category(letter)
    if category in _KEPT or category[0] in _KEPT:
        return None
    return "digits" if category[0] == "N" else "letters"
