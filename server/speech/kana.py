"""Kana to sounds, mora by mora, each of one beat: hiragana, katakana, small kana, ー, っ and ん.

The consonant takes the first part of a mora, the vowel the rest. っ holds the consonant that
follows; ん shuts the lips before p, b and m; ー and small vowels hold or add a vowel. The foreign
combinations are those of the cabinet's notice on loan words (外来語の表記, 1991, tables 1 and 2).
Half-width kana must have been made whole (NFKC).
"""

from __future__ import annotations

import re

from server.speech.mouth import Sound, is_vowel

_VOWEL = {"a": "AA", "i": "IY", "u": "UW", "e": "EH", "o": "AO"}

_CONSONANT_BEATS = {
    **dict.fromkeys(("S", "SH", "Z", "JH", "CH", "TS"), 0.4),
    **dict.fromkeys(("W", "Y", "DX"), 0.25),
}
_USUAL_CONSONANT_BEATS = 0.3
_GLIDE_BEATS = 0.15

# consonant: the kana of its row, by vowel
_ROWS = (
    ("", "アイウエオ", "aiueo"),
    ("", "ァィゥェォ", "aiueo"),
    ("", "ヰヱヲ", "ieo"),
    ("K", "カキクケコ", "aiueo"),
    ("K", "ヵヶ", "aa"),  # 3ヶ月 is さんかげつ; 関ヶ原 has the same mouth
    ("G", "ガギグゲゴ", "aiueo"),
    ("S", "サスセソ", "aueo"),
    ("SH", "シ", "i"),
    ("Z", "ザズゼゾヅ", "aueou"),
    ("JH", "ジヂ", "ii"),
    ("T", "タテト", "aeo"),
    ("CH", "チ", "i"),
    ("TS", "ツ", "u"),
    ("D", "ダデド", "aeo"),
    ("N", "ナニヌネノ", "aiueo"),
    ("HH", "ハヒヘホ", "aieo"),
    ("F", "フ", "u"),
    ("B", "バビブベボ", "aiueo"),
    ("P", "パピプペポ", "aiueo"),
    ("M", "マミムメモ", "aiueo"),
    ("Y", "ヤユヨ", "auo"),
    ("Y", "ャュョ", "auo"),
    ("DX", "ラリルレロ", "aiueo"),
    ("W", "ワヮ", "aa"),
    ("V", "ヴ", "u"),
    ("V", "ヷヸヹヺ", "aieo"),
)
# consonants: the kana that bring them, the small kana that may follow, their vowels
_COMBINATIONS = (
    ("K Y", "キ", "ャュョェ", "auoe"),
    ("G Y", "ギ", "ャュョェ", "auoe"),
    ("SH", "シ", "ャュョェ", "auoe"),
    ("JH", "ジヂ", "ャュョェ", "auoe"),
    ("CH", "チ", "ャュョェ", "auoe"),
    ("N Y", "ニ", "ャュョェ", "auoe"),
    ("HH Y", "ヒ", "ャュョェ", "auoe"),
    ("B Y", "ビ", "ャュョェ", "auoe"),
    ("P Y", "ピ", "ャュョェ", "auoe"),
    ("M Y", "ミ", "ャュョェ", "auoe"),
    ("DX Y", "リ", "ャュョェ", "auoe"),
    ("F", "フ", "ァィェォ", "aieo"),
    ("F Y", "フ", "ャュョ", "auo"),
    ("V", "ヴ", "ァィェォ", "aieo"),
    ("V Y", "ヴ", "ャュョ", "auo"),
    ("T", "テ", "ィ", "i"),
    ("T Y", "テ", "ャュョ", "auo"),
    ("T", "ト", "ゥ", "u"),
    ("D", "デ", "ィ", "i"),
    ("D Y", "デ", "ャュョ", "auo"),
    ("D", "ド", "ゥ", "u"),
    ("TS", "ツ", "ァィェォ", "aieo"),
    ("S", "ス", "ィ", "i"),
    ("Z", "ズ", "ィ", "i"),
    ("W", "ウ", "ィェォ", "ieo"),
    ("Y", "イ", "ェ", "e"),
    ("K W", "ク", "ァィェォヮ", "aieoa"),
    ("G W", "グ", "ァィェォヮ", "aieoa"),
)

_LIPS = frozenset("PBM")
_REPEATED = frozenset("ヽヾ")
_WHISPERING = frozenset("デマ")
"""です and ます end in a u that is hardly said."""
SOKUON, HATSUON, LONG = "ッ", "ン", "ー"
_TO_KATAKANA = {code: code + 0x60 for code in (*range(0x3041, 0x3097), 0x309D, 0x309E)}


def _mora(consonants: list[str], vowel: str) -> tuple[Sound, ...]:
    sounds: list[Sound] = []
    for place, phone in enumerate(consonants):
        usual = _CONSONANT_BEATS.get(phone, _USUAL_CONSONANT_BEATS)
        sounds.append((phone, _GLIDE_BEATS if place else usual))
    rest = 1.0 - sum(beats for _, beats in sounds)
    return (*sounds, (_VOWEL[vowel], round(rest, 2)))


MORAE: dict[str, tuple[Sound, ...]] = {
    kana: _mora([row] if row else [], vowel)
    for row, all_kana, vowels in _ROWS
    for kana, vowel in zip(all_kana, vowels, strict=True)
} | {
    first + small: _mora(consonants.split(), vowel)
    for consonants, firsts, smalls, vowels in _COMBINATIONS
    for first in firsts
    for small, vowel in zip(smalls, vowels, strict=True)
}
"""Every mora with a vowel, in katakana; its sounds last one beat."""

_SPLIT = re.compile("|".join(sorted((key for key in MORAE if len(key) == 2), reverse=True)) + "|.")


def to_katakana(text: str) -> str:
    """Write hiragana as katakana; everything else stays."""
    return text.translate(_TO_KATAKANA)


def split_morae(katakana: str) -> list[str]:
    """Cut into morae; ``キャット`` → ``キャ ッ ト``. A character that is no kana stands alone."""
    return _SPLIT.findall(katakana)


def kana_sounds(text: str) -> list[Sound]:
    """Say kana.

    Args:
        text: Hiragana and katakana; other characters are passed over.

    Returns:
        Sounds of one beat a mora. A ー without a vowel before it, and a small vowel that only
        draws out the same vowel, are vowels of one beat, too, or nothing.
    """
    sounds: list[Sound] = []
    held = 0
    last = before = ""
    for mora in _SPLIT.findall(text.translate(_TO_KATAKANA)):
        if mora in _REPEATED:
            mora = last
        found = MORAE.get(mora)
        if found is not None:
            if held:
                _hold(sounds, found[0][0], held)
                held = 0
            elif last == HATSUON and found[0][0] in _LIPS:
                sounds[-1] = ("M", sounds[-1][1])
            sounds += found
        elif mora == LONG:
            if sounds and (is_vowel(sounds[-1][0]) or sounds[-1][0] == "EN"):
                sounds.append((sounds[-1][0], 1.0))
        elif mora == HATSUON:
            sounds.append(("EN", 1.0))
        elif mora == SOKUON:
            held += 1
        before, last = last, mora
    if held:
        sounds.append(("Q", float(held)))
    elif last == "ス" and before in _WHISPERING:
        sounds[-1] = ("AXH", sounds[-1][1])
    return sounds


def _hold(sounds: list[Sound], phone: str, beats: int) -> None:
    """Lengthen the consonant to come; before a vowel the throat stops instead."""
    sounds.append(("Q" if is_vowel(phone) else phone, float(beats)))
