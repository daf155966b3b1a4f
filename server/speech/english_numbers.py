"""Numbers in English text to words: ``1,200`` → one thousand two hundred; ``2026`` as a year."""

from __future__ import annotations

_BELOW_TWENTY = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
"""
_ONES = _BELOW_TWENTY.split()
_BELOW_HUNDRED = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = _BELOW_HUNDRED.split()
_THOUSANDS = ("", "thousand", "million", "billion", "trillion")
_MAX_DIGITS = 3 * len(_THOUSANDS)
_ORDINALS = {
    **{"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"},
    **{"nine": "ninth", "twelve": "twelfth"},
}
_SUFFIXES = ("st", "nd", "rd", "th")


def number_words(number: str) -> list[str]:
    """Say a number.

    Args:
        number: Digits, with commas, points and colons between; ``$`` may stand before, ``%``,
            ``st``, ``nd``, ``rd`` or ``th`` after.

    Returns:
        Words in small letters. Four digits from 1100 to 2099 are a year, except 2000 to 2009; a
        number of more than fifteen digits is told digit by digit.
    """
    dollars, bare = number.startswith("$"), number.strip("$%")
    ordinal = bare.endswith(_SUFFIXES)
    bare = bare[:-2] if ordinal else bare
    if ":" in bare:
        words = [word for part in bare.split(":") if part.strip("0") for word in number_words(part)]
    else:
        whole, point, part = bare.replace(",", "").partition(".")
        words = _year(whole) if len(bare) == 4 and not dollars else []
        words = words or _whole(whole)
        if point:
            words += ["point", *(_ONES[int(digit)] for digit in part if digit.isdecimal())]
    if ordinal and words:
        words[-1] = _ordinal(words[-1])
    if dollars:
        words.append("dollar" if words == ["one"] else "dollars")
    if number.endswith("%"):
        words.append("percent")
    return words


def _year(digits: str) -> list[str]:
    if not digits.isdecimal() or not 1100 <= int(digits) <= 2099 or 2000 <= int(digits) < 2010:
        return []
    first, last = divmod(int(digits), 100)
    if last == 0:
        return [*_below_thousand(first), "hundred"]
    return [*_below_thousand(first), *(["oh"] if last < 10 else []), *_below_thousand(last)]


def _whole(digits: str) -> list[str]:
    if len(digits) > _MAX_DIGITS or (len(digits) > 1 and int(digits[0]) == 0):
        return [_ONES[int(digit)] for digit in digits[: 4 * _MAX_DIGITS]]
    number = int(digits)
    if number == 0:
        return [_ONES[0]]
    words: list[str] = []
    for power in range(len(_THOUSANDS) - 1, -1, -1):
        group = number // 1000**power % 1000
        if group:
            words += [*_below_thousand(group), _THOUSANDS[power]]
    return [word for word in words if word]


def _below_thousand(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [_ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        tens, ones = divmod(rest, 10)
        return [*words, _TENS[tens], *([_ONES[ones]] if ones else [])]
    return [*words, _ONES[rest]] if rest else words


def _ordinal(word: str) -> str:
    if word in _ORDINALS:
        return _ORDINALS[word]
    return word[:-1] + "ieth" if word.endswith("y") else word + "th"
