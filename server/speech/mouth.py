"""What the mouth does for a sound: each phone's shape, for VRM 1.0's five and Oculus' fifteen.

A sound is a phone and its length in beats; a beat is one Japanese mora. Phones carry the names of
ARPAbet whatever the language, without stress marks: ``EN`` is Japanese ん, ``Q`` a stop in the
throat, ``DX`` the tap of ら, ``UX`` the ü of Chinese, ``AX`` a neutral vowel and ``AXH`` one that
is whispered. Three names are ours: ``TS`` for つ, ``LAX`` for a mouth of which nothing is known,
and ``SIL`` for a pause.

Sources: the presets of VRMC_vrm 1.0 (expressions.md), and Meta's table of visemes for Oculus
Lipsync. Neither set has a shape for ``HH``, whose mouth is that of the vowel to come. In VRM 1.0,
which has no consonants, so are all that the tongue makes behind the teeth; what the lips close is
a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Scheme = Literal["vrm1", "oculus"]

Sound = tuple[str, float]
"""A phone, and its beats."""

PAUSE = "SIL"
UNKNOWN: tuple[Sound, ...] = (("LAX", 0.4), ("AX", 0.6))
"""One beat of a mouth that moves, though nobody knows how."""


Stretch = tuple[str, float, float]
"""A shape that is held: its id (empty where the scheme has no name for a shut mouth), its weight
from 0 to 1, and its beats."""


_SHUT = ("", 0.0)
_NEAR = None
"""The shape of the nearest vowel, the one to come first."""

_Entry = tuple[str | None, float]

# phone: (VRM 1.0, Oculus)
_VOWELS: dict[str, tuple[_Entry, _Entry]] = {
    "AA": (("aa", 1.0), ("aa", 1.0)),
    "AE": (("aa", 0.8), ("aa", 0.8)),
    "AH": (("aa", 0.6), ("aa", 0.7)),
    "AO": (("oh", 0.9), ("O", 0.9)),
    "AX": (("aa", 0.4), ("aa", 0.4)),
    "AXH": (("ou", 0.2), ("U", 0.2)),
    "EH": (("ee", 0.8), ("E", 0.8)),
    "ER": (("oh", 0.4), ("RR", 0.8)),
    "IH": (("ih", 0.6), ("I", 0.6)),
    "IY": (("ih", 0.7), ("I", 0.8)),
    "UH": (("ou", 0.5), ("U", 0.5)),
    "UW": (("ou", 0.7), ("U", 0.8)),
    "UX": (("ou", 0.6), ("U", 0.7)),
}
_CONSONANTS: dict[str, tuple[_Entry, _Entry]] = {
    **dict.fromkeys(("P", "B", "M"), (_SHUT, ("PP", 1.0))),
    **dict.fromkeys(("F", "V"), (("ih", 0.1), ("FF", 1.0))),
    **dict.fromkeys(("TH", "DH"), ((_NEAR, 0.3), ("TH", 0.8))),
    **dict.fromkeys(("T", "D"), ((_NEAR, 0.3), ("DD", 0.7))),
    **dict.fromkeys(("K", "G", "NG"), ((_NEAR, 0.4), ("kk", 0.6))),
    **dict.fromkeys(("CH", "JH", "SH", "ZH"), (("ou", 0.3), ("CH", 0.9))),
    **dict.fromkeys(("S", "Z", "TS"), (("ih", 0.3), ("SS", 0.8))),
    **dict.fromkeys(("N", "L"), ((_NEAR, 0.3), ("nn", 0.7))),
    "EN": ((_NEAR, 0.2), ("nn", 0.6)),
    "DX": ((_NEAR, 0.4), ("nn", 0.6)),  # a tap: the lips stay apart, as for l
    "R": (("ou", 0.3), ("RR", 0.8)),
    "W": (("ou", 0.6), ("U", 0.7)),
    "Y": (("ih", 0.5), ("I", 0.6)),
    "HH": ((_NEAR, 0.5), (_NEAR, 0.5)),
    "Q": ((_NEAR, 0.2), ("kk", 0.3)),
    "LAX": ((_NEAR, 0.2), ("DD", 0.4)),
    PAUSE: (_SHUT, ("sil", 1.0)),
}
_SCHEMES: tuple[Scheme, ...] = ("vrm1", "oculus")
_TABLES: dict[Scheme, dict[str, _Entry]] = {
    scheme: {phone: entries[index] for phone, entries in (_VOWELS | _CONSONANTS).items()}
    for index, scheme in enumerate(_SCHEMES)
}

SHAPES: dict[Scheme, tuple[str, ...]] = {
    "vrm1": ("aa", "ih", "ou", "ee", "oh"),
    "oculus": (
        *("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR"),
        *("aa", "E", "I", "O", "U"),
    ),
}
"""Every id that a scheme has."""


def is_vowel(phone: str) -> bool:
    """Whether a phone opens the mouth by itself."""
    return phone in _VOWELS


def stretches(sounds: Sequence[Sound], scheme: Scheme) -> list[Stretch]:
    """Show sounds as shapes, equal neighbours as one.

    Args:
        sounds: In their order; lengths above 0.
        scheme: Which shapes there are.
    """
    table = _TABLES[scheme]
    vowels = _VOWELS
    coming: list[str | None] = []
    near: str | None = None
    for phone, _ in reversed(sounds):
        if phone in vowels:
            near = table[phone][0]
        elif phone == PAUSE:
            near = None
        coming.append(near)
    coming.reverse()

    shown: list[Stretch] = []
    last_id, last_weight, last_beats = "", -1.0, 0.0
    behind: str | None = None
    for (phone, beats), ahead in zip(sounds, coming, strict=True):
        shape, weight = table[phone]
        if shape is None:
            shape = ahead or behind
            if shape is None:  # a consonant all alone, between pauses
                shape, weight = table[PAUSE]
        if phone in vowels:
            behind = shape
        elif phone == PAUSE:
            behind = None
        if shape == last_id and weight == last_weight:
            last_beats += beats
            continue
        if last_beats:
            shown.append((last_id, last_weight, last_beats))
        last_id, last_weight, last_beats = shape or "", weight, beats
    if last_beats:
        shown.append((last_id, last_weight, last_beats))
    return shown
