"""How kanji are read."""

from __future__ import annotations

import logging
import sys
import threading

import pytest

from server.speech.readings import Dictionary, Tagger, as_said, has_readings, open_tagger, say_words


class _Lines:
    """A tagger that knows one text, and counts."""

    def __init__(self) -> None:
        self.num_parsed = 0

    def parse(self, text: str, /) -> str:
        self.num_parsed += 1
        return f"{text}\tキョー\n。\t\nEOS"


def test_the_dictionary_is_there() -> None:
    """Tests run with it."""
    assert has_readings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("今日は東京へ行く", "キョーワトーキョーエイク"),
        ("私は葵です", "ワタシワアオイデス"),
        ("日本の朝", "ニホンノアサ"),
        ("何が好き？", "ナニガスキ?"),
        ("何ですか", "ナンデスカ"),
        ("何時", "ナンジ"),
        ("日曜日", "ニチヨービ"),
        ("おとうさん", "オトーサン"),
        ("あいうえお", "アイウエオ"),
        ("Hello world", "Hello world"),
    ],
)
def test_text_is_said(text: str, said: str) -> None:
    """Particles, long vowels and usual readings; kana stay as they are written."""
    assert as_said(text.replace("？", "?")) == said


def test_no_particle_begins_a_text() -> None:
    """は and へ are ha and he there, and わ after a number."""
    assert as_said("はひ") == "はヒ"
    assert as_said("は早い", begins=False).startswith("ワ")


def test_without_a_dictionary_the_text_stays() -> None:
    """Nothing is read."""
    dictionary = Dictionary(lambda: None)
    assert not dictionary.load()
    assert dictionary.words("今日") is None


def test_a_dictionary_is_opened_once() -> None:
    """Not before it is needed, and not again."""
    opened: list[Tagger] = []

    def load() -> Tagger:
        opened.append(_Lines())
        return opened[-1]

    dictionary = Dictionary(load)
    assert not opened
    assert dictionary.words("今日") == [("今日", "キョー"), ("。", "")]
    assert dictionary.load()
    assert len(opened) == 1


def test_texts_may_come_from_several_threads() -> None:
    """Each gets its own words."""
    texts = ["今日は雨", "明日は晴れ", "昨日は雪"] * 20
    alone = [as_said(text) for text in texts]
    said: dict[int, str] = {}

    def say(place: int) -> None:
        said[place] = as_said(texts[place])

    threads = [threading.Thread(target=say, args=(place,)) for place in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [said[place] for place in range(len(texts))] == alone


@pytest.mark.parametrize("package", ["fugashi", "unidic_lite"])
def test_a_missing_package_is_told(
    package: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log names the way out."""
    monkeypatch.setitem(sys.modules, package, None)
    with caplog.at_level(logging.WARNING):
        assert open_tagger() is None
    assert "pip install 'kaiwa[ja]'" in caplog.text


def test_a_word_without_a_pronunciation_stays() -> None:
    """Marks, and what the dictionary does not know."""
    assert say_words([("猫", "ネコ"), ("!", ""), ("Kaiwa", "Kaiwa"), ("x", "x")]) == "ネコ!Kaiwa x"


def test_a_long_text_is_read_in_parts() -> None:
    """All of it, and only its first word begins it."""
    assert as_said("はい。" + "東京、" * 100) == "ハイ。" + "トーキョー、" * 100
