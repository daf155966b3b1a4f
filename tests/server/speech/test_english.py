"""English words."""

from __future__ import annotations

import pytest

from server.speech.english import word_sounds
from server.speech.mouth import UNKNOWN


def _phones(word: str) -> str:
    return " ".join(phone for phone, _ in word_sounds(word))


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("one", "W AH N"),
        ("Through", "TH R UW"),
        ("words", "W ER D Z"),
        ("loved", "L AH V D"),
        ("moving", "M UW V IH NG"),
        ("friendly", "F R EH N D L IY"),
        ("countries", "K AH N T R IY Z"),
        ("someone", "S AH M W AH N"),
        ("everything", "EH V R IY TH IH NG"),
        ("watches", "W AA CH AX Z"),
    ],
)
def test_irregular_words_are_known(word: str, phones: str) -> None:
    """Also under an ending, and joined with another."""
    assert _phones(word) == phones


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("I'm", "AA IY M"),
        ("can't", "K AE N T"),
        ("didn’t", "D IH D AX N T"),
        ("it's", "IH T S"),
        ("she's", "SH IY Z"),
        ("we'll", "W IY AX L"),
        ("they've", "DH EH IY V"),
        ("rock'n", "R AA K N"),
    ],
)
def test_contractions(word: str, phones: str) -> None:
    """With either apostrophe."""
    assert _phones(word) == phones


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("USA", "Y UW EH S EH IY"),
        ("TV", "T IY V IY"),
        ("tv", "T IY V IY"),
        ("AI", "EH IY AA IY"),
        ("GPU", "JH IY P IY Y UW"),
        ("K", "K EH IY"),
    ],
)
def test_abbreviations_are_spelled(word: str, phones: str) -> None:
    """What has no vowel, or begins with one in capitals."""
    assert _phones(word) == phones


@pytest.mark.parametrize("word", ["NO", "WOW", "STOP", "ALL", "IT'S", "NEVER"])
def test_shouted_words_are_words(word: str) -> None:
    """Capitals alone make no abbreviation."""
    assert word_sounds(word) == word_sounds(word.lower())


def test_marks_on_letters_are_dropped() -> None:
    """Other languages in Latin letters are said as if they were English."""
    assert word_sounds("café") == word_sounds("cafe")
    assert word_sounds("Straße") == word_sounds("strasse")


def test_other_alphabets_are_estimated() -> None:
    """Half a beat a letter."""
    assert word_sounds("мир") == UNKNOWN * 2


def test_a_diphthong_is_shorter_than_two_vowels() -> None:
    """And a full vowel longer than a neutral one."""
    assert sum(beats for _, beats in word_sounds("eye")) == 1.0
    lengths = dict(word_sounds("about"))
    assert lengths["AX"] < lengths["AA"] + lengths["UW"]


@pytest.mark.parametrize("word", ["'", "", "x" * 10_000, "’’"])
def test_odd_words_do_no_harm(word: str) -> None:
    """Nothing, or a bounded word."""
    assert len(word_sounds(word)) <= 80
