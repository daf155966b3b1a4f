"""Chinese to sounds: a syllable a character, of about a beat, said by its pinyin.

``pip install 'kaiwa[zh]'`` brings pypinyin (MIT, pure Python), which knows the readings, also of
phrases (银行 against 行走). Without it a character is one beat of a mouth that moves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import lru_cache

from server.speech.mouth import UNKNOWN, Sound

logger = logging.getLogger(__name__)

_CONSONANT_BEATS, _SYLLABLE_BEATS = 0.4, 1.3
_MAX_NUMERAL = 12
_NUMERALS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")

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

_Reader = Callable[[str], list[str]]


def open_reader() -> _Reader | None:
    """Load pypinyin; ``None``, and a line in the log, where it is not installed."""
    try:
        import pypinyin
    except ImportError:
        logger.warning(
            "no Chinese readings, lip shapes of Chinese are estimated; "
            "pip install 'kaiwa[zh]' brings them"
        )
        return None
    return pypinyin.lazy_pinyin


_reader = lru_cache(maxsize=1)(open_reader)


def has_pinyin() -> bool:
    """Whether Chinese characters are read; loads their readings when they were not yet."""
    return _reader() is not None


def han_sounds(text: str) -> list[Sound]:
    """Say a run of Chinese characters, or a number.

    Args:
        text: Nothing else; numbers as digits, with points and commas.
    """
    if text[:1].isdecimal() or text.startswith("$"):
        text = numeral(text)
    read = _reader()
    if read is None:
        return [*(UNKNOWN * len(text))]
    sounds: list[Sound] = []
    for syllable in read(text):
        # characters without a reading come back as they were, those side by side as one
        sounds += UNKNOWN * len(syllable) if syllable[:1] >= "⺀" else syllable_sounds(syllable)
    return sounds


def numeral(digits: str) -> str:
    """Write a number as it is read: ``1,205`` → 一千二百零五; years digit by digit.

    Args:
        digits: Digits, with commas, points and colons between; ``$`` may stand before, ``%`` after.
    """
    if ":" in digits:
        return "点".join(numeral(part) for part in digits.split(":") if part.strip("0"))
    if digits.startswith("$"):
        return numeral(digits[1:]) + "美元"
    whole, point, part = digits.rstrip("stndrh%").replace(",", "").partition(".")
    each = "".join(_NUMERALS[int(digit)] for digit in part if digit.isdecimal())
    said = _integer(whole) + ("点" + each if point else "")
    return "百分之" + said if digits.endswith("%") else said


def _integer(digits: str) -> str:
    one_by_one = "".join(_NUMERALS[int(digit)] for digit in digits[: 4 * _MAX_NUMERAL])
    if len(digits) > _MAX_NUMERAL or (len(digits) == 4 and 1100 <= int(digits) <= 2099):
        return one_by_one
    number = int(digits)
    if number < 10:
        return _NUMERALS[number]
    said = ""
    for power, unit in ((100_000_000, "亿"), (10_000, "万"), (1, "")):
        group = number // power % 10_000
        if group:
            gap = "零" if said and group < 1000 else ""
            said += gap + _below_myriad(group) + unit
    return said.removeprefix("一") if said.startswith("一十") else said


def _below_myriad(number: int) -> str:
    said, gap = "", False
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if digit:
            said += ("零" if gap else "") + _NUMERALS[digit] + _PLACES[place]
        gap = bool(said) and not digit
    return said


def syllable_sounds(pinyin: str) -> tuple[Sound, ...]:
    """Say a syllable.

    Args:
        pinyin: Without its tone, such as ``zhong`` or ``lü`` (also ``lv``).

    Returns:
        Sounds; ``mouth.UNKNOWN`` for what is no syllable.
    """
    phones = _WHOLE.get(pinyin) or _split(pinyin)
    if not phones:
        return UNKNOWN
    initial = phones[0] in _INITIALS.values() and len(phones) > 1
    first = [(phones[0], _CONSONANT_BEATS)] if initial else []
    rest = phones[1:] if initial else phones
    beats = (_SYLLABLE_BEATS - _CONSONANT_BEATS * len(first)) / len(rest)
    return (*first, *((phone, round(beats, 3)) for phone in rest))


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
