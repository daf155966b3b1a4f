"""Numbers in English."""

from __future__ import annotations

import pytest

from server.speech.english_numbers import number_words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "zero"),
        ("7", "seven"),
        ("12", "twelve"),
        ("21", "twenty one"),
        ("100", "one hundred"),
        ("1,200", "one thousand two hundred"),
        ("3000000", "three million"),
        ("2026", "twenty twenty six"),
        ("1905", "nineteen oh five"),
        ("1900", "nineteen hundred"),
        ("2005", "two thousand five"),
        ("3.5", "three point five"),
        ("10:30", "ten thirty"),
        ("9:00", "nine"),
        ("$5", "five dollars"),
        ("$1", "one dollar"),
        ("50%", "fifty percent"),
        ("1st", "first"),
        ("22nd", "twenty second"),
        ("20th", "twentieth"),
        ("6th", "sixth"),
        ("007", "zero zero seven"),
        ("1" * 16, " ".join(["one"] * 16)),
    ],
)
def test_numbers_are_said(number: str, words: str) -> None:
    """Years, times, amounts, ordinals; too long ones digit by digit."""
    assert number_words(number) == words.split()
