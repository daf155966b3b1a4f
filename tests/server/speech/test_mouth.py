"""Sounds to shapes."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from server.speech.english_words import LETTERS, WORDS
from server.speech.kana import MORAE
from server.speech.mouth import SHAPES, UNKNOWN, Scheme, is_vowel, stretches

_SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_PHONES = sorted(
    {phone for phones in WORDS.values() for phone in phones}
    | {phone for name in LETTERS.values() for phone in name.split()}
    | {phone for sounds in MORAE.values() for phone, _ in sounds}
    | {phone for phone, _ in UNKNOWN}
    | {"EN", "Q", "SIL", "AXH", "UX", "ZH", "AX"}
)


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_shapes_are_the_schemes_own(scheme: Scheme) -> None:
    """Every phone in every company has an id of the scheme and a weight from 0 to 1."""
    rng = random.Random(7)
    for _ in range(300):
        sounds = [(rng.choice(_PHONES), 1.0) for _ in range(rng.randrange(1, 9))]
        for shape, weight, _ in stretches(sounds, scheme):
            assert shape in (*SHAPES[scheme], "")
            assert 0 <= weight <= 1
            assert (weight > 0) == bool(shape)


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_no_time_is_lost(scheme: Scheme) -> None:
    """The stretches last as long as the sounds."""
    rng = random.Random(8)
    sounds = [(rng.choice(_PHONES), rng.choice((0.3, 0.7, 1.0))) for _ in range(400)]
    whole = sum(beats for _, _, beats in stretches(sounds, scheme))
    assert whole == pytest.approx(sum(beats for _, beats in sounds))


def test_oculus_always_has_a_name() -> None:
    """A shut mouth is ``sil`` or ``PP`` there, never a gap."""
    assert all(shape for phone in _PHONES for shape, _, _ in stretches([(phone, 1.0)], "oculus"))


@pytest.mark.parametrize("phone", ["P", "B", "M"])
def test_lips_that_meet_are_a_gap(phone: str) -> None:
    """VRM 1.0 has no shape for a shut mouth."""
    assert stretches([(phone, 1.0)], "vrm1") == [("", 0.0, 1.0)]
    assert stretches([(phone, 1.0)], "oculus") == [("PP", 1.0, 1.0)]


def test_the_tongue_takes_the_vowels_shape() -> None:
    """That of the vowel to come; of the one before at the end; weaker than the vowel."""
    before, vowel = stretches([("T", 0.3), ("IY", 0.7)], "vrm1")
    assert before[0] == vowel[0] == "ih"
    assert before[1] < vowel[1]
    assert stretches([("AA", 0.7), ("T", 0.3)], "vrm1")[1][0] == "aa"


def test_a_pause_parts_the_shapes() -> None:
    """A consonant does not reach over it."""
    shapes = [shape for shape, _, _ in stretches([("T", 1.0), ("SIL", 1.0), ("AA", 1.0)], "vrm1")]
    assert shapes == ["", "aa"]


def test_equal_neighbours_are_one() -> None:
    """A long vowel is one shape."""
    assert stretches([("AA", 1.0)] * 5, "vrm1") == [("aa", 1.0, 5.0)]


def test_open_vowels_weigh_more_than_close_ones() -> None:
    """The jaw opens for a more than for i and u."""
    weights = {phone: stretches([(phone, 1.0)], "vrm1")[0][1] for phone in ("AA", "IY", "UW")}
    assert weights["AA"] > max(weights["IY"], weights["UW"])


def test_vowels_are_told_from_consonants() -> None:
    """A whispered vowel is one, a pause is none."""
    assert is_vowel("AXH")
    assert not is_vowel("T")
    assert not is_vowel("SIL")
