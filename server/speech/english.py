"""English words to sounds."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from server.speech.mouth import Sound, is_vowel

_MAX_WORD = 40

_RULES = {
    "tion": "SH AX N", "sion": "ZH AX N", "igh": "AA IY", "ough": "AO", "augh": "AO",
    "th": "TH", "sh": "SH", "ch": "CH", "ph": "F", "wh": "W", "ck": "K", "ng": "NG", "qu": "K W",
    "ee": "IY", "ea": "IY", "oo": "UW", "ou": "AA UW", "ow": "AO UW", "ai": "EH IY", "ay": "EH IY",
    "oi": "AO IY", "oy": "AO IY", "au": "AO", "aw": "AO", "ew": "UW", "ar": "AA R", "er": "ER",
    "ir": "ER", "or": "AO R", "ur": "ER", "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH",
    "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N",
    "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W",
    "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip
_SPLIT = re.compile("|".join(sorted(_RULES, key=len, reverse=True)))


@lru_cache(maxsize=4096)
def word_sounds(word: str) -> tuple[Sound, ...]:
    """Say a word.

    Args:
        word: Letters and apostrophes; marks on letters are dropped.
    """
    letters = unicodedata.normalize("NFD", word[:_MAX_WORD].lower())
    if len(letters) > 3 and letters.endswith("e"):
        letters = letters[:-1]
    phones = " ".join(_RULES[part] for part in _SPLIT.findall(letters)).split()
    return tuple((phone, 1.0 if is_vowel(phone) else 0.6) for phone in phones)
