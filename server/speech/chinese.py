"""Chinese to sounds: characters by their pinyin, numbers by characters.

``pip install 'kaiwa[zh]'`` brings pypinyin (MIT, pure Python), whose tables give the readings, also
those of phrases (银行 against 行走): the longest phrase that fits is taken. Its own functions take
twenty times as long. Without it a character is a mouth that moves, for as long as a syllable.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from server.speech.load_once import LoadOnce
from server.speech.mouth import Sound
from server.speech.pinyin import syllable_sounds

UNREAD: tuple[Sound, ...] = (("LAX", 0.5), ("AX", 0.8))
"""A character without a reading, as long as a syllable."""

logger = logging.getLogger(__name__)

_MAX_PHRASE = 4
"""Longer ones are one in fifty, and mostly sayings made of shorter ones."""
_MAX_NUMERAL = 12
_NUMERALS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")


class Readings(NamedTuple):
    """What pypinyin knows.

    Attributes:
        phrases: For each character of a phrase, its readings there, the usual one first.
        characters: By code point, readings with commas between, the usual one first.
    """

    phrases: Mapping[str, list[list[str]]]
    characters: Mapping[int, str]


def open_readings() -> Readings | None:
    """Load pypinyin; ``None``, and a line in the log, where it is not installed."""
    try:
        from pypinyin.phrases_dict import phrases_dict
        from pypinyin.pinyin_dict import pinyin_dict
    except ImportError:
        logger.warning(
            "no Chinese readings, lip shapes of Chinese are estimated; "
            "pip install 'kaiwa[zh]' brings them"
        )
        return None
    return Readings(phrases_dict, pinyin_dict)


_READINGS = LoadOnce(open_readings)


def has_pinyin() -> bool:
    """Whether Chinese characters are read; loads their readings when they were not yet."""
    return _READINGS.get() is not None


def han_sounds(text: str) -> list[Sound]:
    """Say a run of Chinese characters, or a number.

    Args:
        text: Nothing else; numbers as digits, as for ``numeral``.
    """
    if text[:1].isdecimal() or text.startswith("$"):
        text = numeral(text)
    return read_sounds(text, _READINGS.get())


def read_sounds(text: str, readings: Readings | None) -> list[Sound]:
    """Say Chinese characters by what is known of them; a syllable's time for each that is not."""
    if readings is None:
        return [*(UNREAD * len(text))]
    phrases, characters = readings
    sounds: list[Sound] = []
    place = 0
    while place < len(text):
        for length in range(_MAX_PHRASE, 1, -1):
            phrase = phrases.get(text[place : place + length])
            if phrase is not None:
                for usual in phrase:
                    sounds += syllable_sounds(usual[0])
                place += len(phrase)
                break
        else:
            known = characters.get(ord(text[place]))
            sounds += syllable_sounds(known.partition(",")[0]) if known else UNREAD
            place += 1
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
    whole, point, part = digits.rstrip("stndrh%").partition(".")
    each = "".join(_NUMERALS[int(digit)] for digit in part if digit.isdecimal())
    said = _integer(whole) + ("点" + each if point else "")
    return "百分之" + said if digits.endswith("%") else said


def _integer(digits: str) -> str:
    is_year = len(digits) == 4 and digits.isdecimal() and 1100 <= int(digits) <= 2099
    digits = digits.replace(",", "")
    if is_year or len(digits) > _MAX_NUMERAL:
        return "".join(_NUMERALS[int(digit)] for digit in digits[: 4 * _MAX_NUMERAL])
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
