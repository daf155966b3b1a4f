"""Pinyin to sounds: a syllable lasts a little more than a Japanese mora, its consonant a third."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from server.speech.mouth import UNKNOWN, Sound

_CONSONANT_BEATS, _SYLLABLE_BEATS = 0.4, 1.3
_KEPT = 2048
_DIAERESIS = "\u0308"

# pinyin's initials; zh ch sh before their first letters
_INITIALS = {
    **{
        "zh": "JH",
        "ch": "CH",
        "sh": "SH",
        "b": "P",
        "p": "P",
        "m": "M",
        "f": "F",
        "d": "D",
        "t": "T",
    },
    **{"n": "N", "l": "L", "g": "G", "k": "K", "h": "HH", "j": "JH", "q": "CH", "x": "SH"},
    **{"r": "R", "z": "TS", "c": "TS", "s": "S", "y": "", "w": ""},
}
_VOWELS = {"a": "AA", "o": "AO", "e": "AH", "i": "IY", "u": "UW", "v": "UX", "ü": "UX"}
_WHOLE = {
    # the buzz after z c s zh ch sh r, and what is spelled otherwise than said
    **dict.fromkeys(("zi", "ci", "si"), ("TS", "IH")),
    **dict.fromkeys(("zhi", "chi", "shi"), ("CH", "IH")),
    **{"ri": ("R", "IH"), "er": ("AH", "R"), "yi": ("IY",), "wu": ("UW",), "yu": ("UX",)},
}
_FINALS = {
    **{"ian": ("IY", "EH", "N"), "yan": ("IY", "EH", "N"), "ie": ("IY", "EH"), "ye": ("IY", "EH")},
    **{"ue": ("UX", "EH"), "ve": ("UX", "EH"), "ei": ("EH", "IY"), "ui": ("UW", "EH", "IY")},
    **{
        "un": ("UW", "AH", "N"),
        "ong": ("UW", "NG"),
        "iong": ("IY", "UW", "NG"),
        "iu": ("IY", "AO", "UW"),
    },
    **{"uo": ("UW", "AO"), "o": ("UW", "AO"), "ao": ("AA", "AO"), "ou": ("AO", "UW")},
    **{"uan": ("UW", "AA", "N"), "in": ("IY", "N"), "ing": ("IY", "NG"), "en": ("AH", "N")},
}
_PARTS = re.compile("(zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw]?)([a-zü]*)")


@lru_cache(maxsize=_KEPT)
def syllable_sounds(pinyin: str) -> tuple[Sound, ...]:
    """Say a syllable.

    Args:
        pinyin: With its tone or without, such as ``zhōng`` or ``lü`` (also ``lv``).

    Returns:
        Sounds; ``mouth.UNKNOWN`` for what is no syllable.
    """
    pinyin = _toneless(pinyin)
    phones = _WHOLE.get(pinyin) or _split(pinyin)
    if not phones:
        return UNKNOWN
    initial = phones[0] in _INITIALS.values() and len(phones) > 1
    first = [(phones[0], _CONSONANT_BEATS)] if initial else []
    rest = phones[1:] if initial else phones
    beats = (_SYLLABLE_BEATS - _CONSONANT_BEATS * len(first)) / len(rest)
    return (*first, *((phone, round(beats, 3)) for phone in rest))


def _toneless(pinyin: str) -> str:
    letters = unicodedata.normalize("NFD", pinyin)
    kept = (char for char in letters if char == _DIAERESIS or not unicodedata.combining(char))
    return unicodedata.normalize("NFC", "".join(kept))


def _split(pinyin: str) -> tuple[str, ...]:
    found = _PARTS.match(pinyin)
    assert found is not None  # both parts may be empty
    initial, final = found.groups()
    if not final:
        return ()
    if initial in ("j", "q", "x", "y") and final.startswith("u"):
        final = "v" + final[1:]
    phones = (_INITIALS[initial],) if initial and _INITIALS[initial] else ()
    if initial == "y" and not final.startswith(("i", "v")):
        final = "i" + final
    elif initial == "w" and not final.startswith("u"):
        final = "u" + final
    elif final == "o" and initial == "":
        return ("AO",)
    return (*phones, *_final(final))


def _final(final: str) -> tuple[str, ...]:
    if final in _FINALS:
        return _FINALS[final]
    phones = [_VOWELS[letter] for letter in final if letter in _VOWELS]
    if final.endswith("ng"):
        phones.append("NG")
    elif final.endswith("n"):
        phones.append("N")
    elif final.endswith("r"):
        phones.append("R")
    return tuple(phones)
