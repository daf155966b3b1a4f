"""The mouth's shapes for a text, without audio: frames that any voice can be stretched over.

A client multiplies a frame's times with its audio's length, or with ``duration.speech_s`` where it
has none. A pause at the end is part of the text's time: where audio ends with the last sound, the
last frame's ``t1`` (in ``oculus``, the last ``sil``'s ``t0``) is its end.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from server.speech.chinese import has_pinyin
from server.speech.mouth import Scheme, Stretch, stretches
from server.speech.readings import has_readings
from server.speech.sounds import text_sounds

MAX_FRAMES = 2_000
"""Of one text; a longer one is told in coarser shapes."""
_PRECISION = 1e5
"""Times have five digits, a millisecond in a hundred seconds."""


class Frame(NamedTuple):
    """One shape of the mouth.

    Attributes:
        t0: Its beginning, 0 to 1 of the text's speech.
        t1: Its end, above ``t0``; at most the next frame's ``t0``.
        id: The shape, by the scheme's name.
        weight: Above 0, at most 1.
    """

    t0: float
    t1: float
    id: str
    weight: float


def visemes(text: str, *, lang: str, scheme: Scheme = "vrm1") -> list[Frame]:
    """Show a text as shapes of the mouth.

    Args:
        text: What a voice reads.
        lang: BCP 47, of the text as a whole.
        scheme: ``vrm1`` leaves gaps where the mouth is shut, ``oculus`` says ``sil``.

    Returns:
        Frames in ascending order that do not overlap; none for a text without a sound.
    """
    shown = stretches(text_sounds(text, lang), scheme)
    while len(shown) > MAX_FRAMES:
        shown = _coarser(shown)
    if not shown:
        return []
    done = [*accumulate([beats for _, _, beats in shown])]
    scale = _PRECISION / done[-1]
    ends = [int(beats * scale + 0.5) / _PRECISION for beats in done]
    return [
        Frame(t0, t1, shape, weight)
        for (shape, weight, _), t0, t1 in zip(shown, [0.0, *ends], ends, strict=False)
        if shape and t1 > t0
    ]


def warm_up() -> None:
    """Load what reads Chinese characters, so that no text waits for it; in any thread, any time."""
    has_readings()
    has_pinyin()


def _coarser(shown: list[Stretch]) -> list[Stretch]:
    """Join pairs; the one that lasts longer stays."""
    joined: list[Stretch] = []
    for first, second in zip(shown[::2], shown[1::2], strict=False):
        shape, weight, _ = max(first, second, key=lambda stretch: stretch[2])
        joined.append((shape, weight, first[2] + second[2]))
    return joined + shown[len(shown) & ~1 :]
