"""Frames of a text."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from server.speech.chinese import has_pinyin
from server.speech.mouth import SHAPES, Scheme
from server.speech.readings import has_readings
from server.speech.visemes import MAX_FRAMES, Frame, visemes, warm_up

_SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


def _ids(text: str, lang: str = "ja", scheme: Scheme = "vrm1") -> list[str]:
    return [frame.id for frame in visemes(text, lang=lang, scheme=scheme)]


def test_the_five_vowels_are_the_five_shapes() -> None:
    """あいうえお, a fifth each."""
    frames = visemes("あいうえお", lang="ja")
    assert [frame.id for frame in frames] == ["aa", "ih", "ou", "ee", "oh"]
    assert [(frame.t0, frame.t1) for frame in frames] == [
        pytest.approx((index / 5, (index + 1) / 5)) for index in range(5)
    ]


def test_oculus_shows_consonants() -> None:
    """And the pause at the end."""
    assert _ids("ぱす。", scheme="oculus") == ["PP", "aa", "SS", "U", "sil"]


def test_a_shut_mouth_is_a_gap() -> None:
    """Between two vowels of ままま lies m."""
    frames = visemes("まま", lang="ja")
    assert [frame.id for frame in frames] == ["aa", "aa"]
    assert frames[0].t0 > 0
    assert frames[1].t0 > frames[0].t1


def test_the_whole_time_is_used() -> None:
    """From 0 to 1 where nothing is shut at either end."""
    frames = visemes("あい", lang="ja")
    assert (frames[0].t0, frames[-1].t1) == (0.0, 1.0)


@pytest.mark.parametrize("text", ["", " ", "♪", "\x00", "\ud800"])
@pytest.mark.parametrize("scheme", _SCHEMES)
def test_what_nobody_says_has_no_frames(text: str, scheme: Scheme) -> None:
    """No division by nothing either."""
    assert visemes(text, lang="ja", scheme=scheme) == []


def test_punctuation_alone_is_silence() -> None:
    """Oculus names it, VRM 1.0 leaves it out."""
    assert visemes("…", lang="ja") == []
    assert visemes("…", lang="ja", scheme="oculus") == [Frame(0.0, 1.0, "sil", 1.0)]


def test_any_text_gives_frames_in_order() -> None:
    """Random texts of many scripts: ascending, apart, within 0 and 1, of the scheme."""
    rng = random.Random(11)
    alphabet = (
        "あいウッンー漢字々日本銀行abcXYZ'’éßпридет한국ﾊﾟ①½0123456789"
        ",.:%$¥°-…。、！？()「」\n\t♪😀〜・"
    )
    for _ in range(400):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(60)))
        scheme, lang = rng.choice(_SCHEMES), rng.choice(("ja", "en", "zh-CN", "ko", ""))
        end = 0.0
        for frame in visemes(text, lang=lang, scheme=scheme):
            assert end <= frame.t0 < frame.t1 <= 1.0
            assert frame.id in SHAPES[scheme]
            assert 0 < frame.weight <= 1
            end = frame.t1


@pytest.mark.parametrize("text", ["たちつてと、" * 5_000, "sixty wasps " * 5_000, "字" * 100_000])
@pytest.mark.parametrize("scheme", _SCHEMES)
def test_long_texts_are_bounded(text: str, scheme: Scheme) -> None:
    """However long, and the mouth moves to the end."""
    frames = visemes(text, lang="ja", scheme=scheme)
    assert 100 < len(frames) <= MAX_FRAMES
    assert frames[-1].t1 > 0.99


def test_many_shapes_are_told_in_coarser_ones() -> None:
    """Letters that are named one by one bring more shapes than a text may have."""
    frames = visemes("ｷﾞﾁﾖ漢㌔" * 250, lang="ja", scheme="oculus")
    assert len(frames) <= MAX_FRAMES


def test_the_same_text_gives_the_same_frames() -> None:
    """Whatever was asked between."""
    first = visemes("そうだね、Helloと言おう。", lang="ja")
    visemes("別の文", lang="ja")
    assert visemes("そうだね、Helloと言おう。", lang="ja") == first


def test_warming_up_loads_the_readings() -> None:
    """These tests run with both packages."""
    warm_up()
    assert has_readings()
    assert has_pinyin()
