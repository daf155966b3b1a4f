"""Numbers in Japanese text to kana, with what is counted: ``3時15分`` → さんじ じゅーごふん.

A number and its counter change each other (ろく + こ → ろっこ), some pairs have words of their own
(ふたり, みっつ, ついたち). Numbers in Chinese numerals are words, and left to the dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_DIGITS = ("ゼロ", "イチ", "ニ", "サン", "ヨン", "ゴ", "ロク", "ナナ", "ハチ", "キュー")
_HUNDREDS = {3: "サンビャク", 6: "ロッピャク", 8: "ハッピャク", 1: "ヒャク"}
_THOUSANDS = {3: "サンゼン", 8: "ハッセン", 1: "セン"}
_MYRIADS = ("", "マン", "オク", "チョー", "ケー")
_MAX_DIGITS = 4 * len(_MYRIADS)

_NATIVE = ("", "ヒト", "フタ", "ミッ", "ヨッ", "イツ", "ムッ", "ナナ", "ヤッ", "ココノ")
_DAYS = {
    **{1: "ツイタチ", 2: "フツカ", 3: "ミッカ", 4: "ヨッカ", 5: "イツカ", 6: "ムイカ", 7: "ナノカ"},
    **{
        8: "ヨーカ",
        9: "ココノカ",
        10: "トーカ",
        14: "ジューヨッカ",
        20: "ハツカ",
        24: "ニジューヨッカ",
    },
}
_WORDS: dict[tuple[int, str], str] = {
    **{(number, "つ"): kana + "ツ" for number, kana in enumerate(_NATIVE) if kana},
    **{(number, "日"): kana for number, kana in _DAYS.items()},
    **{(1, "人"): "ヒトリ", (2, "人"): "フタリ", (20, "歳"): "ハタチ", (20, "才"): "ハタチ"},
}
# last digits that sound otherwise before a counter
_LAST = {
    "時": {4: "ヨ", 7: "シチ", 9: "ク"},
    "時間": {4: "ヨ", 7: "シチ", 9: "ク"},
    "月": {4: "シ", 7: "シチ", 9: "ク"},
    **dict.fromkeys(("年", "年間", "円", "人"), {4: "ヨ"}),
}
_COUNTERS = {
    **{
        "年": "ネン",
        "年間": "ネンカン",
        "月": "ガツ",
        "日": "ニチ",
        "日間": "ニチカン",
        "時": "ジ",
    },
    **{"時間": "ジカン", "分": "フン", "分間": "フンカン", "秒": "ビョー", "秒間": "ビョーカン"},
    **{
        "週間": "シューカン",
        "ヶ月": "カゲツ",
        "か月": "カゲツ",
        "カ月": "カゲツ",
        "世紀": "セーキ",
    },
    **{
        "円": "エン",
        "人": "ニン",
        "名": "メー",
        "歳": "サイ",
        "才": "サイ",
        "個": "コ",
        "つ": "ツ",
    },
    **{
        "本": "ホン",
        "匹": "ヒキ",
        "杯": "ハイ",
        "泊": "ハク",
        "枚": "マイ",
        "台": "ダイ",
        "冊": "サツ",
    },
    **{
        "回": "カイ",
        "階": "カイ",
        "軒": "ケン",
        "件": "ケン",
        "曲": "キョク",
        "巻": "カン",
        "話": "ワ",
    },
    **{
        "番": "バン",
        "番目": "バンメ",
        "位": "イ",
        "点": "テン",
        "度": "ド",
        "倍": "バイ",
        "歩": "ホ",
    },
    **{
        "割": "ワリ",
        "頭": "トー",
        "通": "ツー",
        "着": "チャク",
        "章": "ショー",
        "丁目": "チョーメ",
    },
    **{
        "%": "パーセント",
        "km": "キロ",
        "cm": "センチ",
        "mm": "ミリ",
        "m": "メートル",
        "kg": "キロ",
    },
    **{"g": "グラム", "°C": "ド", "人前": "ニンマエ", "日目": "ニチメ", "年目": "ネンメ"},
    **{"キロ": "キロ", "センチ": "センチ", "パーセント": "パーセント", "ページ": "ページ"},
}
_UNITS = {"万": "マン", "億": "オク", "兆": "チョー", "千": "セン"}
_TO_P = dict(zip("ハヒフヘホ", "パピプペポ", strict=True))
_TO_B = dict(zip("ハヒフヘホ", "バビブベボ", strict=True))
_SHORTENS = {  # numbers whose end becomes っ, by the counter's first kana
    **dict.fromkeys("カキクケコ", ("イチ", "ロク", "ハチ", "ジュー", "ヒャク")),
    **dict.fromkeys("サシスセソ", ("イチ", "ハチ", "ジュー")),
    **dict.fromkeys("タチツテト", ("イチ", "ハチ", "ジュー")),
    **dict.fromkeys("パピプペポ", ("イチ", "ハチ", "ジュー")),
    **dict.fromkeys("ハヒフヘホ", ("イチ", "ロク", "ハチ", "ジュー", "ヒャク")),
}
_UNCHANGED = frozenset({"キロ", "つ", "センチ", "cm", "km", "kg"})

_COUNTER_PATTERN = "|".join(map(re.escape, sorted(_COUNTERS, key=len, reverse=True)))
_NUMBER = re.compile(
    r"(?P<yen>[¥￥$])?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d+)"
    r"(?:\.(?P<part>\d+)|:(?P<minutes>[0-5]\d)(?!\d))?"
    rf"(?P<units>[{''.join(_UNITS)}]*)"
    rf"(?P<counter>{_COUNTER_PATTERN})?"
)


def say_numbers(text: str) -> Iterator[tuple[str, bool]]:
    """Cut a text at its numbers.

    Args:
        text: Normalised (NFKC).

    Yields:
        Pieces in order, and whether a piece is a number that has become katakana.
    """
    done = 0
    for found in _NUMBER.finditer(text):
        if found.start() > done:
            yield text[done : found.start()], False
        yield _say(found), True
        done = found.end()
    if done < len(text):
        yield text[done:], False


def _say(found: re.Match[str]) -> str:
    whole, part, minutes = found["whole"].replace(",", ""), found["part"], found["minutes"]
    counter = found["counter"] or {"$": "ドル", None: ""}.get(found["yen"], "円")
    if minutes:
        hours = _counted(int(whole), "時") if len(whole) <= 2 else number_kana(whole)
        return hours + (_counted(int(minutes), "分") if int(minutes) else "")
    units = "".join(_UNITS[unit] for unit in found["units"])
    if part is not None:
        tail = "".join(_DIGITS[int(digit)] for digit in part[:_MAX_DIGITS])
        return f"{number_kana(whole)}テン{tail}{units}{_COUNTERS.get(counter, counter)}"
    if units or len(whole) > _MAX_DIGITS or not counter or counter == "ドル":
        return f"{number_kana(whole)}{units}{_COUNTERS.get(counter, counter)}"
    return _counted(int(whole), counter)


def number_kana(digits: str) -> str:
    """Say a number by itself; one that is too long, or begins with 0, digit by digit.

    Args:
        digits: Decimal digits of any script.
    """
    if len(digits) > _MAX_DIGITS or (len(digits) > 1 and int(digits[0]) == 0):
        return "".join(_DIGITS[int(digit)] for digit in digits)
    number = int(digits)
    if number == 0:
        return _DIGITS[0]
    said = ""
    for power in range(len(_MYRIADS) - 1, -1, -1):
        group = number // 10 ** (4 * power) % 10_000
        if group:
            said += _below_myriad(group, alone=power == 0) + _MYRIADS[power]
    return said


def _below_myriad(number: int, *, alone: bool) -> str:
    thousands, hundreds, tens, ones = (number // power % 10 for power in (1000, 100, 10, 1))
    said = ""
    if thousands:
        usual = _DIGITS[thousands] + "セン"
        said += "イッセン" if thousands == 1 and not alone else _THOUSANDS.get(thousands, usual)
    if hundreds:
        said += _HUNDREDS.get(hundreds, _DIGITS[hundreds] + "ヒャク")
    if tens:
        said += ("" if tens == 1 else _DIGITS[tens]) + "ジュー"
    return said + (_DIGITS[ones] if ones else "")


def _counted(number: int, counter: str) -> str:
    if (word := _WORDS.get((number, counter))) is not None:
        return word
    said, kana = number_kana(str(number)), _COUNTERS[counter]
    last = number % 10
    if last in _LAST.get(counter, {}):
        return said[: -len(_DIGITS[last])] + _LAST[counter][last] + kana
    if counter in _UNCHANGED:
        return said + kana
    if said.endswith("サン") and kana[0] in _TO_B:
        kana = (_TO_P if kana.startswith("フ") else _TO_B)[kana[0]] + kana[1:]
    elif said.endswith("ヨン") and kana.startswith("フ"):
        kana = "プ" + kana[1:]
    elif said.endswith("サン") and counter in ("階", "軒"):
        kana = {"カ": "ガ", "ケ": "ゲ"}[kana[0]] + kana[1:]
    for ending in _SHORTENS.get(kana[0], ()):
        if said.endswith(ending):
            said = said[:-1] + "ッ"
            kana = _TO_P.get(kana[0], kana[0]) + kana[1:]
            break
    return said + kana
