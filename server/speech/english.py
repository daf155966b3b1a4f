"""English words to sounds: a table of the irregular, parts of words, and rules for all others.

Any other language in Latin letters is said so, too, without the marks on its letters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from server.speech.english_rules import spelled_phones
from server.speech.english_words import (
    FIRST_PARTS,
    LETTERS,
    SECOND_PARTS,
    SHORT_CAPITALS,
    SPELLED,
    WORDS,
)
from server.speech.mouth import UNKNOWN, Sound, is_vowel

_MAX_LETTERS = 40
"""Of one word; what is longer is no word."""
_KEPT = 4096
_OTHER_LETTERS = {
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "đ": "d",
    "ł": "l",
    "ı": "i",
    "þ": "th",
}
_SYLLABLES = re.compile("[가-힣]")
_LEAST_WITH_ENDING = 4
_VOWELS = re.compile("[aeiouy']")

_BEATS = {
    **dict.fromkeys(("AX", "AXH"), 0.5),
    **dict.fromkeys(("IH", "AH", "UH"), 0.65),
    **dict.fromkeys(("W", "Y", "HH", "R", "L"), 0.4),
    **dict.fromkeys(("S", "Z", "SH", "ZH", "CH", "JH", "F"), 0.6),
}
_VOWEL_BEATS, _CONSONANT_BEATS = 0.8, 0.45
_DIPHTHONG_BEATS = (0.6, 0.4)
_DIPHTHONGS = frozenset({("AA", "IY"), ("AA", "UW"), ("AO", "IY"), ("AO", "UW"), ("EH", "IY")})

_VOICELESS = frozenset({"P", "T", "K", "F", "TH"})
_HISSING = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})
_CONTRACTED = {
    "n't": ("AX", "N", "T"),
    "'m": ("M",),
    "'re": ("ER",),
    "'ll": ("AX", "L"),
    "'ve": ("V",),
    "'d": ("D",),
}
_ENDINGS = {
    "ing": ("IH", "NG"),
    "in'": ("IH", "N"),
    "ly": ("L", "IY"),
    "er": ("ER",),
    "ers": ("ER", "Z"),
    "est": ("AX", "S", "T"),
    "ful": ("F", "AX", "L"),
    "less": ("L", "AX", "S"),
    "ness": ("N", "AX", "S"),
    "able": ("AX", "B", "AX", "L"),
    "y": ("IY",),
}


@lru_cache(maxsize=_KEPT)
def word_sounds(word: str) -> tuple[Sound, ...]:
    """Say a word.

    Args:
        word: Letters of any alphabet, and apostrophes; capitals may make it an abbreviation, whose
            letters are named.

    Returns:
        Sounds; half a beat for each letter where the alphabet is unknown, one for each
            syllable of Korean.
    """
    small = _plain(word[:_MAX_LETTERS])
    if not small.strip("'").isascii():
        syllables = len(_SYLLABLES.findall(word))
        return UNKNOWN * (syllables + (len(word) - syllables + 1) // 2)
    if small not in WORDS and (
        _is_vowelless(small) or (word.isupper() and _is_abbreviation(small))
    ):
        phones = [phone for letter in small for phone in LETTERS.get(letter, "").split()]
    else:
        phones = _phones(small)
    return _timed(phones)


def _plain(word: str) -> str:
    letters = unicodedata.normalize("NFD", word.lower().replace("’", "'"))
    return "".join(
        _OTHER_LETTERS.get(letter, letter)
        for letter in letters
        if not unicodedata.combining(letter)
    )


def _is_vowelless(small: str) -> bool:
    """``tv``, ``http``, and a letter by itself."""
    return len(set(small)) > len(small) // 2 and len(small) <= 5 and not _VOWELS.search(small)


def _is_abbreviation(small: str) -> bool:
    if small in SPELLED:
        return True
    return 2 <= len(small) <= 3 and small[0] in "aeiou" and small not in SHORT_CAPITALS


def _phones(word: str) -> list[str]:
    if (known := _known(word)) is not None:
        return known
    stem, mark, rest = word.partition("'")
    if mark:
        if word.endswith("n't"):
            return _phones(word[:-3]) + [*_CONTRACTED["n't"]]
        if rest == "s":
            return _with_s(_phones(stem))
        if "'" + rest in _CONTRACTED:
            return _phones(stem) + [*_CONTRACTED["'" + rest]]
        return _phones(stem + rest.replace("'", ""))
    for first in FIRST_PARTS:
        rest = word[len(first) :]
        if word.startswith(first) and rest in SECOND_PARTS:
            return _phones(first) + _phones(rest)
    return spelled_phones(word)


def _known(word: str) -> list[str] | None:
    """Find a word in the table, also under an ending."""
    if word in WORDS:
        return [*WORDS[word]]
    if len(word) < _LEAST_WITH_ENDING:
        return None
    if word.endswith("s") and word[:-1] in WORDS:
        return _with_s([*WORDS[word[:-1]]])
    if word.endswith("ies") and word[:-3] + "y" in WORDS:
        return [*WORDS[word[:-3] + "y"], "Z"]
    if word.endswith("ed"):
        for stem in (word[:-2], word[:-1]):
            if stem in WORDS:
                return _with_d([*WORDS[stem]])
    for ending, phones in _ENDINGS.items():
        if word.endswith(ending):
            rest = word[: -len(ending)]
            for stem in (rest, rest + "e"):
                if stem in WORDS and len(rest) > 2:
                    return [*WORDS[stem], *phones]
    return None


def _with_s(phones: list[str]) -> list[str]:
    last = phones[-1] if phones else ""
    if last in _HISSING:
        return [*phones, "AX", "Z"]
    return [*phones, "S" if last in _VOICELESS else "Z"]


def _with_d(phones: list[str]) -> list[str]:
    last = phones[-1] if phones else ""
    if last in ("T", "D"):
        return [*phones, "AX", "D"]
    return [*phones, "T" if last in _VOICELESS | {"S", "SH", "CH"} else "D"]


def _timed(phones: list[str]) -> tuple[Sound, ...]:
    usual = [
        _BEATS.get(phone, _VOWEL_BEATS if is_vowel(phone) else _CONSONANT_BEATS) for phone in phones
    ]
    for place, pair in enumerate(pairwise(phones)):
        if pair in _DIPHTHONGS:
            usual[place : place + 2] = _DIPHTHONG_BEATS
    return tuple(zip(phones, usual, strict=True))
