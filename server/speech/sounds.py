"""Text to sounds: each run of a script said in its way, marks as pauses.

Without a reading a character is so many beats of a mouth that moves (``mouth.UNKNOWN``): two for a
Chinese character in Japanese, one in Chinese, as their readings usually have.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from server.speech.english import word_sounds
from server.speech.kana import kana_sounds
from server.speech.mouth import PAUSE, UNKNOWN, Sound

MAX_CHARACTERS = 2_000
"""What is analysed of a text; the rest is told by its length."""
_MAX_REST_BEATS = 400
_KEPT = 256

_BEATS_PER_HAN = {"ja": 2, "zh": 1}
_BEATS_OF_OTHERS = 0.6

# beats of a pause; of marks in a row the longest counts
_PAUSE_BEATS = {
    **dict.fromkeys("、，,;:；：()（）", 1.5),
    **dict.fromkeys("。．.!?！？｡\n", 3.0),
    **dict.fromkeys("…‥—―–", 4.0),
}
_RUNS = re.compile(
    r"(?P<kana>[ぁ-ゖゝゞァ-ヺーヽヾ]+)"
    r"|(?P<latin>[^\W\d_぀-ヿ㐀-鿿豈-﫿]+(?:['’][^\W\d_぀-ヿ㐀-鿿豈-﫿]+)*)"
    r"|(?P<han>[㐀-鿿豈-﫿々〆]+)"
    r"|(?P<digits>\d+)"
    rf"|(?P<pause>[{re.escape(''.join(_PAUSE_BEATS))}]+)"
)


def primary_language(lang: str) -> str:
    """``ja-JP`` → ``ja`` (BCP 47's first subtag)."""
    return lang.replace("_", "-").partition("-")[0].lower()


@lru_cache(maxsize=_KEPT)
def text_sounds(text: str, lang: str) -> tuple[Sound, ...]:
    """Say a text.

    Args:
        text: What a voice would read; no stage directions and no code.
        lang: BCP 47; ``ja`` and ``zh`` decide how Chinese characters are read.

    Returns:
        Sounds with their beats; none for a text without anything to say.
    """
    rest = len(text) - MAX_CHARACTERS
    whole = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS])[: 2 * MAX_CHARACTERS]
    han_beats = _BEATS_PER_HAN.get(primary_language(lang), 1)
    sounds: list[Sound] = []
    for found in _RUNS.finditer(whole):
        kind, run = found.lastgroup, found.group()
        if kind == "kana":
            sounds += kana_sounds(run)
        elif kind == "latin":
            sounds += word_sounds(run)
        elif kind == "pause":
            beats = max(_PAUSE_BEATS[mark] for mark in run)
            sounds.append((PAUSE, 4.0 if "..." in run or "。。" in run else beats))
        elif kind == "han":
            sounds += UNKNOWN * (han_beats * len(run))
        else:
            sounds += UNKNOWN * (2 * len(run))
    if rest > 0:
        times = min(rest, _MAX_REST_BEATS)
        sounds += [(phone, beats * rest / times) for phone, beats in UNKNOWN] * times
    return tuple(sounds)
