"""Seconds of speech."""

from __future__ import annotations

import pytest

from server.speech.duration import speech_s
from server.text.pace import CHARACTERS_PER_S

_JAPANESE = (
    "昨日は遅くまで本を読んでいました。",
    "そんなに急がなくても大丈夫だよ。",
    "雨が降りそうだから、傘を持って行こう。",
    "お茶でも飲みませんか？",
)
_ENGLISH = (
    "I was just thinking about you, and then you walked through the door.",
    "Honestly, I have no idea how this machine works.",
    "What would you like to talk about tonight?",
)
_CHINESE = ("今天天气很好，我们一起去公园散步吧。", "他说他明天会来，可是我不太相信。")


@pytest.mark.parametrize(("texts", "lang"), [(_JAPANESE, "ja"), (_ENGLISH, "en"), (_CHINESE, "zh")])
def test_usual_texts_take_the_usual_time(texts: tuple[str, ...], lang: str) -> None:
    """As a stream is paced for a voice, within a seventh."""
    rate = sum(map(len, texts)) / sum(speech_s(text, lang=lang) for text in texts)
    assert rate == pytest.approx(CHARACTERS_PER_S["speech", lang != "en"], rel=0.15)


def test_nothing_takes_no_time() -> None:
    """And so does what nobody says."""
    assert speech_s("", lang="ja") == 0.0
    assert speech_s("♪", lang="en") == 0.0


def test_pauses_take_time() -> None:
    """A full stop more than a comma, an ellipsis most."""
    times = [speech_s(f"はい{mark}いいえ", lang="ja") for mark in ("", "、", "。", "…")]
    assert times == sorted(times)
    assert len(set(times)) == 4


def test_more_sounds_take_longer_in_as_many_characters() -> None:
    """志 is one mora less than 心."""
    assert speech_s("血", lang="ja") < speech_s("心", lang="ja")


def test_time_grows_with_a_text_past_what_is_analysed() -> None:
    """The rest counts by its length."""
    short, long = (speech_s("あいうえお" * times, lang="ja") for times in (1_000, 2_000))
    assert long == pytest.approx(2 * short, rel=0.3)
