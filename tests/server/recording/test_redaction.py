"""Redacted text has the shape of what was said, and none of its words."""

from __future__ import annotations

import random
import unicodedata

import pytest

from server.recording.redaction import redact

SALT = b"0123456789abcdef"
SAMPLES = [
    "Hello, my name is Mio! I'm 27 years old.",
    "こんにちは、私の名前はミオです。今日は２回目?",
    "你好，我叫美绪。\n\t안녕하세요 — привет, καλημέρα, naïve Ärger",
    "สวัสดี नमस्ते שלום 🙂 x²",
    "",
]


@pytest.mark.parametrize("text", SAMPLES)
def test_the_shape_stays(text: str) -> None:
    """Code points, bytes of UTF-8, spaces, punctuation and the kind of each letter."""
    shown = redact(text, SALT)
    assert len(shown) == len(text)
    assert [len(one.encode()) for one in shown] == [len(one.encode()) for one in text]
    for before, after in zip(text, shown, strict=True):
        category = unicodedata.category(before)
        assert unicodedata.category(after) == category
        if category[0] in "PZS" or category == "Cc":
            assert after == before


def test_words_are_others() -> None:
    """No word of the sentence is left, in any of several files."""
    text = "Mika secretly loves strawberry pancakes"
    for seed in range(20):
        shown = redact(text, random.Random(seed).randbytes(16)).lower().split()
        assert not set(shown) & {"mika", "secretly", "loves", "strawberry", "pancakes"}


def test_equal_words_stay_equal_whatever_their_case() -> None:
    """And only within one salt."""
    shown = redact("Cake, cake; CAKE", SALT)
    first, second, third = shown.replace(",", "").replace(";", "").split()
    assert first.lower() == second == third.lower()
    assert first[0].isupper()
    assert third.isupper()
    assert redact("strawberry", SALT) != redact("strawberry", SALT[::-1])


def test_japanese_words_are_told_apart_by_script() -> None:
    """A name in katakana becomes the same name wherever it stands."""
    shown = redact("ミオは猫、猫はミオ", SALT)
    assert shown[:2] == shown[-2:]
    assert shown[3] == shown[5]


def test_scripts_in_blocks_of_their_own_are_drawn_from_all_of_their_letters() -> None:
    """A kanji does not tell its radical by what it becomes."""
    drawn = {redact("猫", seed.to_bytes(16)) for seed in range(50)}
    assert len({ord(one) // 512 for one in drawn}) > 10
