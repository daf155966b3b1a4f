"""Numbers in Japanese."""

from __future__ import annotations

import pytest

from server.speech.japanese_numbers import number_kana, say_numbers


def _say(text: str) -> str:
    return "".join(piece for piece, _ in say_numbers(text))


@pytest.mark.parametrize(
    ("digits", "kana"),
    [
        ("0", "ゼロ"),
        ("10", "ジュー"),
        ("14", "ジューヨン"),
        ("100", "ヒャク"),
        ("365", "サンビャクロクジューゴ"),
        ("600", "ロッピャク"),
        ("1000", "セン"),
        ("2026", "ニセンニジューロク"),
        ("8003", "ハッセンサン"),
        ("10000", "イチマン"),
        ("11000000", "イッセンヒャクマン"),
        ("100000000", "イチオク"),
        ("007", "ゼロゼロナナ"),
        ("1" * 21, "イチ" * 21),
    ],
)
def test_numbers_are_said(digits: str, kana: str) -> None:
    """With the sounds that hundreds and thousands change; too long ones digit by digit."""
    assert number_kana(digits) == kana


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3つ", "ミッツ"),
        ("1人と2人と3人と4人", "ヒトリとフタリとサンニンとヨニン"),
        ("1日と2日間", "ツイタチとニニチカン"),
        ("20歳", "ハタチ"),
        ("4時7分", "ヨジナナフン"),
        ("10:30", "ジュージサンジュップン"),
        ("7:00", "シチジ"),
        ("9月", "クガツ"),
        ("14年", "ジューヨネン"),
        ("1本、2本、3本", "イッポン、ニホン、サンボン"),
        ("3分4分", "サンプンヨンプン"),
        ("6個", "ロッコ"),
        ("8冊", "ハッサツ"),
        ("3階", "サンガイ"),
        ("3回", "サンカイ"),
        ("1キロ", "イチキロ"),
        ("1,200円", "センニヒャクエン"),
        ("¥500", "ゴヒャクエン"),
        ("$5", "ゴドル"),
        ("3万円", "サンマンエン"),
        ("3.5度", "サンテンゴド"),
        ("2.5万人", "ニテンゴマンニン"),
        ("50%", "ゴジュッパーセント"),
        ("12345:67", "イチマンニセンサンビャクヨンジューゴ:ロクジューナナ"),
    ],
)
def test_counters_are_said_with_their_numbers(text: str, said: str) -> None:
    """They change each other; some pairs are words."""
    assert _say(text) == said


def test_text_between_numbers_stays() -> None:
    """And is told from what has been said."""
    assert list(say_numbers("あと10分だ")) == [("あと", False), ("ジュップン", True), ("だ", False)]
    assert list(say_numbers("なし")) == [("なし", False)]
