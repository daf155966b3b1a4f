"""How wide text is, and which of three languages it is in, told by its script alone.

Nothing here looks ahead: a segment's language depends on the segment and on what came before it.
"""

from __future__ import annotations

import re

WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f"
    "\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
)
"""Characters of two columns (UAX #11, W and F; emoji left out), as a class of ``re``."""

_WIDE = re.compile(f"[{WIDE}]")
_KANA = re.compile("[\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\uff66-\uff9d]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]")
_LATIN_WORD = re.compile("[A-Za-z\u00c0-\u024f][A-Za-z\u00c0-\u024f'\u2019]*")

# Forms and words that only Japanese writes: neither simplified nor traditional Chinese has them.
_JAPANESE = re.compile(
    "[々〆込働峠畑辻匂枠気楽広図売読駅円対帰験覚変歩経済険検悪圧囲応桜仮価戯拠渓剣権効砕雑桟実渋収従焼"
    "証乗浄畳縄壌嬢穣粋酔髄瀬斉専戦銭巣荘騒蔵沢択滝単弾団遅鋳庁聴鉄転伝闘弐悩脳拝廃発髪抜払仏塀辺舗"
    "訳薬揺謡頼覧竜両猟緑塁齢労]|大丈夫|本当|一緒|残念|素敵|綺麗|面白|彼女|何故"
)

# Addresses and names of files, which are of no language.
_ADDRESS = re.compile(r"[\w.:/@?&=%#+~-]*[\w/][.@/:][\w/][\w.:/@?&=%#+~-]*", re.ASCII)


def word_set(text: str) -> frozenset[str]:
    """The words of ``text``; a list of them is easier to read so."""
    return frozenset(text.split())


def width(text: str) -> int:
    """Columns of ``text``: two for what East Asian scripts write, one for any other code point."""
    return len(text) if text.isascii() else len(text) + len(_WIDE.findall(text))


class LanguageGuess:
    """Tells the language of one reply's segments, in order.

    The rules: two Latin words or more that begin with a small letter, and at least half as many
    words as there are kana and Han characters, make ``en``, addresses not counted; else kana make
    ``ja``; else Han characters make ``ja`` when the reply has had kana, when there is a form that
    only Japanese writes, or when ``zh`` is not asked for, and else ``zh``; Latin letters make
    ``en``; without any letter the language stays what it was. What is not among ``langs`` becomes
    the nearest of them.

    Args:
        langs: What may be answered, at least one; the first stands for any other.
    """

    __slots__ = ("_had_kana", "_langs", "_last")

    def __init__(self, langs: tuple[str, ...]) -> None:
        self._langs = langs
        self._last = langs[0]
        self._had_kana = False

    @property
    def last(self) -> str:
        """The language of the segment before; at first, the first that may be answered."""
        return self._last

    def guess(self, text: str) -> str:
        """The language of the reply's next segment."""
        kana, han = len(_KANA.findall(text)), len(_HAN.findall(text))
        if not kana and not han:
            return self._choose("en") if _LATIN_WORD.search(text) else self._last
        words: list[str] = _LATIN_WORD.findall(_ADDRESS.sub(" ", text))
        small = sum(word[0].islower() for word in words)
        if small >= 2 and 2 * len(words) >= kana + han:
            return self._choose("en")
        if kana:
            self._had_kana = True
            return self._choose("ja", "zh")
        if self._had_kana or _JAPANESE.search(text):
            return self._choose("ja", "zh")
        return self._choose("zh", "ja")

    def _choose(self, *wanted: str) -> str:
        known = [language for language in wanted if language in self._langs]
        self._last = known[0] if known else self._langs[0]
        return self._last
