"""How Japanese text is said: kanji to kana through MeCab and UniDic, where they are installed.

``pip install 'kaiwa[ja]'`` brings both (fugashi and unidic-lite, each MIT and BSD); nothing is
fetched later. The dictionary gives the pronunciation itself (は as ワ, とうさん as トーサン), which
is why it was chosen: Sudachi's has only readings, and Janome takes thirty times as long. It is
mapped into memory when it is first needed; ``visemes.warm_up`` does that early.
"""

from __future__ import annotations

import logging
import re
import shlex
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from server.speech.kana import LONG, MORAE, to_katakana
from server.speech.load_once import LoadOnce

logger = logging.getLogger(__name__)


class Tagger(Protocol):
    """MeCab, as far as it is used: lines of ``surface TAB pronunciation``, then ``EOS``."""

    def parse(self, text: str, /) -> str:
        """Cut a text into words."""


_MAX_READ = 150
"""Characters read at once; a word that is cut is rarer than MeCab is slow on one long ー."""
_FORMAT = r"-O '' -F '%m\t%f[9]\n' -U '%m\t\n' -E 'EOS\n'"
"""A word and UniDic's tenth feature, ``pron``; to print them all takes longer."""
_USUAL = {"私": "ワタシ", "明日": "アシタ", "昨日": "キノー", "日本": "ニホン"}
"""What people say where UniDic prefers what they write in letters."""
_AFTER = {
    **{("誕生", "日"): "ビ", ("何", "時"): "ジ", ("今日", "中"): "ジュー"},
    **{(day + "曜", "日"): "ビ" for day in "月火水木金土日"},
}
"""Words that their neighbour changes: the word before, the word."""
_DRAWN_OUT = {"AA": "アァ", "IY": "イィ", "UW": "ウゥ", "EH": "エェイ", "AO": "オォウ"}
"""What only holds the vowel before it."""
_KANA = re.compile("[ァ-ヺー]+")
_NAN_BEFORE = frozenset("タダテデトドナノ")
_COUNTED = frozenset("時人回個年日本度分歳")


class Dictionary:
    """A dictionary that is loaded when it is first needed, and read by one text at a time."""

    def __init__(self, open_tagger: Callable[[], Tagger | None]) -> None:
        self._tagger = LoadOnce(open_tagger)
        self._lock = threading.Lock()

    def load(self) -> bool:
        """Map it into memory; whether there is one."""
        return self._tagger.get() is not None

    def words(self, text: str) -> list[tuple[str, str]] | None:
        """Words and their pronunciations; ``None`` without a dictionary."""
        tagger = self._tagger.get()
        if tagger is None:
            return None
        with self._lock:  # MeCab keeps its lattice in the tagger
            parsed = tagger.parse(text)
        lines = (line.partition("\t") for line in parsed.split("\n"))
        return [(surface, pronunciation) for surface, tab, pronunciation in lines if tab]


def open_tagger() -> Tagger | None:
    """Map UniDic into memory; ``None``, and a line in the log, where it is not installed."""
    try:
        import fugashi
        import unidic_lite
    except ImportError:
        logger.warning(
            "no Japanese dictionary, lip shapes of kanji are estimated; "
            "pip install 'kaiwa[ja]' brings one"
        )
        return None
    directory = shlex.quote(unidic_lite.DICDIR)
    tagger: Tagger = fugashi.GenericTagger(f"-r {directory}/dicrc -d {directory} {_FORMAT}")
    tagger.parse("今日は")  # touches the pages that every text needs
    return tagger


_DICTIONARY = Dictionary(open_tagger)


def has_readings() -> bool:
    """Whether kanji are read; loads the dictionary when it was not yet."""
    return _DICTIONARY.load()


def as_said(text: str, *, begins: bool = True) -> str:
    """Write Japanese as it is said.

    Args:
        text: Normalised (NFKC), one line, without control characters.
        begins: Whether nothing stands before it; a は or へ there is no particle.

    Returns:
        Katakana for every word that the dictionary knows, everything else unchanged; the text
        itself without a dictionary.
    """
    said = ""
    for start in range(0, len(text), _MAX_READ):
        part = text[start : start + _MAX_READ]
        words = _DICTIONARY.words(part)
        said += part if words is None else say_words(words, begins=begins and not start)
    return said


def say_words(words: list[tuple[str, str]], *, begins: bool = True) -> str:
    """Join words as they are said.

    Args:
        words: Surfaces and pronunciations, of which an empty one keeps the surface.
        begins: As for ``as_said``.
    """
    said: list[str] = []
    before = ""
    for place, (surface, found) in enumerate(words):
        pronunciation = _word(surface, found)
        if (before, surface) in _AFTER:
            pronunciation = _AFTER[before, surface]
        elif surface == "何" and place + 1 < len(words):
            pronunciation = _nani(*words[place + 1])
        elif place == 0 and surface == "は" and not begins:
            pronunciation = "ワ"
        elif place == 0 and surface in ("は", "へ"):
            pronunciation = surface
        if before.isascii() and before.isalnum() and surface.isascii():
            said.append(" ")  # MeCab drops what stood between two words
        said.append(pronunciation)
        before = surface
    return "".join(said)


@lru_cache(maxsize=4096)
def _word(surface: str, found: str) -> str:
    """Say a word alone."""
    return _USUAL.get(surface) or (_as_spelled(surface, found) if found else surface)


def _as_spelled(surface: str, found: str) -> str:
    """Let kana stand as they are, save for long vowels, and for は and へ said as わ and え.

    A dictionary takes いう in あいうえお for a verb, and says ゆー.
    """
    kana = to_katakana(surface)
    if not _KANA.fullmatch(kana):
        return found
    if len(kana) != len(found):
        return kana
    chosen = ""
    for place, (own, said) in enumerate(zip(kana, found, strict=True)):
        if said == LONG:
            before = MORAE.get(kana[place - 1 : place])
            long = before is not None and own in _DRAWN_OUT[before[-1][0]]
            chosen += LONG if long else own
        else:
            chosen += said if own in "ハヘ" else own
    return chosen


def _nani(surface: str, pronunciation: str) -> str:
    """何 before a word: なん before t, d, n and what is counted, else なに."""
    return "ナン" if pronunciation[:1] in _NAN_BEFORE or surface in _COUNTED else "ナニ"
