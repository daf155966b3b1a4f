"""Pinyin to sounds."""

from __future__ import annotations

import pytest

from server.speech.mouth import UNKNOWN
from server.speech.pinyin import syllable_sounds


@pytest.mark.parametrize(
    ("pinyin", "phones"),
    [
        ("ma", "M AA"),
        ("zhōng", "JH UW NG"),
        ("guó", "G UW AO"),
        ("bō", "P UW AO"),
        ("xué", "SH UX EH"),
        ("lǜ", "L UX"),
        ("lv", "L UX"),
        ("nü", "N UX"),
        ("zi", "TS IH"),
        ("shì", "CH IH"),
        ("ri", "R IH"),
        ("er", "AH R"),
        ("yī", "IY"),
        ("yǔ", "UX"),
        ("yuan", "UX AA N"),
        ("yan", "IY EH N"),
        ("you", "IY AO UW"),
        ("wang", "UW AA NG"),
        ("wu", "UW"),
        ("liu", "L IY AO UW"),
        ("xiong", "SH IY UW NG"),
        ("o", "AO"),
        ("ài", "AA IY"),
    ],
)
def test_syllables_are_said(pinyin: str, phones: str) -> None:
    """With tones or without; ü is ü also where it is spelled u."""
    assert " ".join(phone for phone, _ in syllable_sounds(pinyin)) == phones


@pytest.mark.parametrize("pinyin", ["ma", "zhuang", "a", "er", "xiong"])
def test_every_syllable_lasts_as_long(pinyin: str) -> None:
    """Whatever is in it."""
    assert sum(beats for _, beats in syllable_sounds(pinyin)) == pytest.approx(1.3, abs=0.01)


@pytest.mark.parametrize("pinyin", ["", "m", "3", "漢"])
def test_what_is_no_syllable_is_estimated(pinyin: str) -> None:
    """One beat."""
    assert syllable_sounds(pinyin) == UNKNOWN
