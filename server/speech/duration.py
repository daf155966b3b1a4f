"""How long a usual voice takes for a text."""

from __future__ import annotations

from server.speech.sounds import text_sounds
from server.text.pace import CHARACTERS_PER_S, is_wide

BEATS_PER_CHARACTER = {True: 1.42, False: 0.455}
"""By whether a text is Japanese or Chinese; ``tools.viseme_figures`` measures it."""


def speech_s(text: str, *, lang: str) -> float:
    """Estimate seconds of speech, pauses included.

    The mean over usual texts is ``CHARACTERS_PER_S``'s; a text with more sounds to the character
    takes longer. ``Frame.t0`` times this is seconds.

    Args:
        text: What a voice reads.
        lang: BCP 47.
    """
    wide = is_wide(text)
    beats = sum(beats for _, beats in text_sounds(text, lang))
    return beats / (BEATS_PER_CHARACTER[wide] * CHARACTERS_PER_S["speech", wide])
