"""Chinese text."""

from __future__ import annotations

import logging
import sys

import pytest

from server.speech.chinese import (
    UNREAD,
    Readings,
    han_sounds,
    has_pinyin,
    numeral,
    open_readings,
    read_sounds,
)
from server.speech.pinyin import syllable_sounds


def test_the_readings_are_there() -> None:
    """Tests run with them."""
    assert has_pinyin()


def test_characters_are_read() -> None:
    """By their usual pinyin."""
    assert han_sounds("你好") == [*syllable_sounds("ni"), *syllable_sounds("hao")]


def test_phrases_decide_a_characters_reading() -> None:
    """行 is háng in a bank, xíng elsewhere."""
    assert han_sounds("银行") == [*syllable_sounds("yin"), *syllable_sounds("hang")]
    assert han_sounds("行")[:1] == [*syllable_sounds("xing")][:1]


def test_the_longest_phrase_counts() -> None:
    """Of those that begin at a character."""
    phrases = {"甲乙": [["ba"], ["ba"]], "甲乙丙": [["mi"], ["mi"], ["mi"]]}
    assert read_sounds("甲乙丙", Readings(phrases, {})) == [*syllable_sounds("mi")] * 3
    assert read_sounds("甲乙丁", Readings(phrases, {ord("丁"): "fu,da"})) == [
        *syllable_sounds("ba"),
        *syllable_sounds("ba"),
        *syllable_sounds("fu"),
    ]


def test_what_is_not_known_is_estimated() -> None:
    """A syllable's time for a character, with readings or without any."""
    assert read_sounds("甲乙", None) == [*UNREAD, *UNREAD]
    assert read_sounds("甲", Readings({}, {})) == [*UNREAD]


def test_a_missing_package_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log names the way out."""
    monkeypatch.setitem(sys.modules, "pypinyin.phrases_dict", None)
    with caplog.at_level(logging.WARNING):
        assert open_readings() is None
    assert "pip install 'kaiwa[zh]'" in caplog.text


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        ("0", "零"),
        ("5", "五"),
        ("10", "十"),
        ("15", "十五"),
        ("20", "二十"),
        ("105", "一百零五"),
        ("110", "一百一十"),
        ("1,205", "一千二百零五"),
        ("2026", "二零二六"),
        ("10000", "一万"),
        ("100005", "十万零五"),
        ("3.14", "三点一四"),
        ("50%", "百分之五十"),
        ("10:30", "十点三十"),
        ("$5", "五美元"),
        ("1" * 13, "一" * 13),
    ],
)
def test_numbers_are_read(digits: str, said: str) -> None:
    """Years and what is too long digit by digit."""
    assert numeral(digits) == said


def test_a_run_of_digits_is_said() -> None:
    """Through its characters."""
    assert han_sounds("15") == han_sounds("十五")
    assert han_sounds("$5") == han_sounds("五美元")
