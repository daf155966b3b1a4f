"""Text to sounds: each run of a script said in its way, marks as pauses.

What nobody can read moves the mouth without a meaning (``mouth.UNKNOWN``): two beats for a Chinese
character in Japanese, a syllable's time in Chinese, as their readings usually have; half a beat
for a letter of any other script.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from server.speech.chinese import han_sounds
from server.speech.english import word_sounds
from server.speech.english_numbers import number_words
from server.speech.japanese_numbers import say_numbers
from server.speech.kana import kana_sounds
from server.speech.mouth import PAUSE, UNKNOWN, Sound
from server.speech.readings import as_said

MAX_CHARACTERS = 1_000
"""What is analysed of a text; the rest is told by its length."""
_MAX_REST_BEATS = 400
_KEPT = 256

_JAPANESE_BEATS = 2

# beats of a pause; of marks in a row the longest counts
_PAUSE_BEATS = {
    **dict.fromkeys(")]）」』", 1.0),
    **dict.fromkeys("、，,;:；：", 1.5),
    **dict.fromkeys("。．.!?！？｡\n", 3.0),
    **dict.fromkeys("…‥—―–", 4.0),
}
_ELLIPSES = ("...", "。。", "・・")
_MARKS = re.escape("".join(_PAUSE_BEATS))
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff々〆"
_KANA = "ぁ-ゖゝゞァ-ヺーヽヾ"
_JAPANESE = re.compile(f"[{_KANA}]")
_INITIALS = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_NOT_SPOKEN = re.compile(rf"[^\w{_MARKS}'’%¥$&+°・]+|_+")
_RUNS = re.compile(
    rf"(?P<kana>[{_KANA}]+)"
    rf"|(?P<pause>[{_MARKS}]+(?:\s*[{_MARKS}])*|・・+)"
    rf"|(?P<han>[{_HAN}]+)"
    r"|(?P<number>\$?\d+(?:[,.:]\d+)*(?:st\b|nd\b|rd\b|th\b|%)?)"
    rf"|(?P<word>[^\W\d_{_KANA}{_HAN}]+(?:['’][^\W\d_{_KANA}{_HAN}]+)*)"
    r"|(?P<sign>[%&+$°])"
)
_WAVES = re.compile(rf"(?<=[{_KANA}])[~〜]+")
_SIGNS = {"%": "percent", "&": "and", "+": "plus", "$": "dollars", "°": "degrees"}


def primary_language(lang: str) -> str:
    """``ja-JP`` → ``ja`` (BCP 47's first subtag)."""
    return lang.replace("_", "-").partition("-")[0].lower()


@lru_cache(maxsize=_KEPT)
def text_sounds(text: str, lang: str) -> tuple[Sound, ...]:
    """Say a text.

    Args:
        text: What a voice would read; no stage directions and no code.
        lang: BCP 47; ``ja`` and ``zh`` decide how Chinese characters and numbers are read.

    Returns:
        Sounds with their beats; none for a text without anything to say. It is kept for the next
        caller, as lip shapes and duration ask for the same text.
    """
    rest = len(text) - MAX_CHARACTERS
    whole = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS])[: 2 * MAX_CHARACTERS]
    drawn_out = _WAVES.sub("ー", _INITIALS.sub(_joined, whole))
    spoken = _NOT_SPOKEN.sub(_blank, drawn_out)
    language = primary_language(lang)
    japanese = language == "ja" or (language != "zh" and _JAPANESE.search(spoken) is not None)
    if japanese:
        spoken = japanese_as_said(spoken)
    sounds: list[Sound] = []
    for found in _RUNS.finditer(spoken):
        kind, run = found.lastgroup, found.group()
        if kind == "kana":
            sounds += kana_sounds(run)
        elif kind == "pause":
            sounds.append((PAUSE, _pause_beats(run)))
        elif kind == "han":
            sounds += UNKNOWN * (_JAPANESE_BEATS * len(run)) if japanese else han_sounds(run)
        elif kind == "number":
            if language == "zh":
                sounds += han_sounds(run)
            else:
                for word in number_words(run):
                    sounds += word_sounds(word)
        else:
            sounds += word_sounds(_SIGNS.get(run, run))
    if rest > 0:
        times = min(rest, _MAX_REST_BEATS)
        sounds += [(phone, beats * rest / times) for phone, beats in UNKNOWN] * times
    return tuple(sounds)


def _joined(found: re.Match[str]) -> str:
    """``U.S.A.`` → ``USA``, so that its points are no pauses."""
    return found.group().replace(".", "").upper()


def _blank(found: re.Match[str]) -> str:
    return "\n" if "\n" in found.group() else " "


def _pause_beats(run: str) -> float:
    if any(mark in run for mark in _ELLIPSES):
        return _PAUSE_BEATS["…"]
    return max(_PAUSE_BEATS[mark] for mark in run if mark in _PAUSE_BEATS)


def japanese_as_said(text: str) -> str:
    """Write Japanese as it is said: numbers and the words that are known in katakana.

    Args:
        text: Normalised (NFKC), without control characters other than line ends.
    """
    lines = []
    for line in text.split("\n"):  # MeCab takes a line end for a space
        said = ""
        for piece, is_number in say_numbers(line):
            said += piece if is_number else as_said(piece, begins=not said)
        lines.append(said)
    return "\n".join(lines)
