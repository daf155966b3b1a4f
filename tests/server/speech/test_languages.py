"""Columns, and languages by script."""

from __future__ import annotations

import pytest

from server.speech.languages import LanguageGuess, width, word_set


def test_east_asian_characters_have_two_columns() -> None:
    """Kana, Han and wide marks count double, everything else once."""
    assert width("ab c") == 4
    assert width("あ漢。Ａ") == 8
    assert width("é…😊") == 3


def test_a_word_set_is_the_words_of_a_text() -> None:
    """Spaces part them."""
    assert word_set("a b  a") == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("そうだね", "ja"),
        ("カメラ", "ja"),
        ("你好", "zh"),
        ("大丈夫！", "ja"),
        ("気分", "ja"),
        ("Hello", "en"),
        ("Pythonのコード", "ja"),
        ("My name is 葵, nice to meet you", "en"),
        ("www.example.jpを開いて", "ja"),
        ("请访问https://example.cn/a?b=1查看", "zh"),
        ("a.b@example.com", "en"),
        ("……", "ja"),
    ],
)
def test_script_tells_the_language(text: str, lang: str) -> None:
    """The first segment of a reply, all three languages allowed."""
    assert LanguageGuess(("ja", "zh", "en")).guess(text) == lang


def test_han_alone_is_japanese_once_there_was_kana() -> None:
    """A reply does not change its language at a word without kana."""
    guess = LanguageGuess(("ja", "zh", "en"))
    assert [guess.guess(text) for text in ("你好", "ねえ", "你好", "…")] == ["zh", "ja", "ja", "ja"]
    assert guess.last == "ja"


@pytest.mark.parametrize(
    ("langs", "told"),
    [
        (("ja", "en"), ["ja", "ja", "en"]),
        (("zh",), ["zh", "zh", "zh"]),
        (("en",), ["en", "en", "en"]),
    ],
)
def test_only_languages_asked_for_are_told(langs: tuple[str, ...], told: list[str]) -> None:
    """Anything else becomes the nearest of them."""
    guess = LanguageGuess(langs)
    assert [guess.guess(text) for text in ("你好", "ねえ", "Hello")] == told
