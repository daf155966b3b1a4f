"""Text of any script to sounds."""

from __future__ import annotations

import pytest

from server.speech.chinese import UNREAD
from server.speech.mouth import UNKNOWN
from server.speech.sounds import MAX_CHARACTERS, japanese_as_said, primary_language, text_sounds


def _phones(text: str, lang: str = "ja") -> str:
    return " ".join(phone for phone, _ in text_sounds(text, lang))


def _beats(text: str, lang: str = "ja") -> float:
    return sum(beats for _, beats in text_sounds(text, lang))


def test_each_script_is_said_in_its_way() -> None:
    """Kanji, kana, half-width kana, Latin letters and numbers in one text."""
    assert _phones("空とｿﾗ") == "S AO DX AA T AO S AO DX AA"
    assert _phones("葵、you 3つ") == "AA AO IY SIL Y UW M IY TS TS UW"


def test_a_language_decides_how_characters_are_read() -> None:
    """Japanese and Chinese share them."""
    assert _phones("水", "ja") == "M IY Z UW"
    assert _phones("水", "zh-CN") == "SH UW EH IY"


def test_kana_make_a_text_japanese() -> None:
    """Where the language is another; Chinese stays Chinese."""
    assert _phones("水の", "en") == "M IY Z UW N AO"
    assert _phones("水の", "zh") == "SH UW EH IY N AO"


def test_numbers_are_said_in_the_texts_language() -> None:
    """Three ways."""
    assert _phones("5", "ja") == "G AO"
    assert _phones("5", "en") == "F AA IY V"
    assert _phones("5", "zh") == "UW"


@pytest.mark.parametrize(
    ("text", "beats"),
    [("、", 1.5), ("。", 3), ("！？", 3), ("...", 4), ("…", 4), ("。」", 3), ("\n", 3)],
)
def test_marks_are_pauses(text: str, beats: float) -> None:
    """One for a run of them, as long as the longest."""
    assert text_sounds(text, "ja") == (("SIL", beats),)


def test_an_opening_bracket_is_no_pause() -> None:
    """A line of dialogue begins at once."""
    assert _phones("「はい」") == "HH AA IY SIL"
    assert _phones("(yes)", "en") == "Y EH S SIL"


def test_marks_within_words_are_no_pauses() -> None:
    """Initials, decimals, hyphens."""
    assert "SIL" not in _phones("U.S.A. 3.5 well-known", "en")
    assert "SIL" not in _phones("3.5度")


def test_a_wave_draws_a_vowel_out() -> None:
    """は〜い is はーい."""
    assert _phones("は〜い") == _phones("はーい")


def test_what_cannot_be_read_moves_the_mouth() -> None:
    """Two beats for a character in Japanese, a syllable in Chinese, half a beat for others."""
    assert text_sounds("㐂", "ja") == UNKNOWN * 2
    assert text_sounds("㐂", "zh") == UNREAD
    assert text_sounds("мир!", "ru")[:4] == UNKNOWN * 2
    assert text_sounds("한국어", "ko") == UNKNOWN * 3


def test_what_nobody_says_is_passed_over() -> None:
    """Asterisks, emoji, control characters, broken text."""
    assert _phones("*あ*😀\x00\ud800_い_") == "AA IY"


def test_a_long_text_costs_no_more_than_its_bound() -> None:
    """What is past it lasts as long as its length, in a few sounds."""
    bound = text_sounds("あ" * MAX_CHARACTERS, "ja")
    assert _beats("あ" * (MAX_CHARACTERS + 500)) == pytest.approx(MAX_CHARACTERS + 500)
    assert len(text_sounds("あ" * 1_000_000, "ja")) < 2 * len(bound)


def test_lines_stay_apart() -> None:
    """A line end is a pause, and no word crosses it."""
    assert japanese_as_said("今\n日") == "イマ\nヒ"


@pytest.mark.parametrize(
    ("tag", "language"), [("ja-JP", "ja"), ("zh_Hans", "zh"), ("EN", "en"), ("", "")]
)
def test_the_first_subtag_counts(tag: str, language: str) -> None:
    """Of BCP 47, in either spelling."""
    assert primary_language(tag) == language
