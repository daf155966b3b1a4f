"""The table of irregular words."""

from __future__ import annotations

from server.speech.english_words import FIRST_PARTS, LETTERS, SECOND_PARTS, SHORT_CAPITALS, WORDS
from server.speech.mouth import stretches


def test_every_word_is_made_of_sounds() -> None:
    """Each phone has a shape."""
    for word, phones in WORDS.items():
        assert phones, word
        stretches([(phone, 1.0) for phone in phones], "oculus")


def test_every_letter_has_a_name() -> None:
    """Of sounds, too."""
    assert sorted(LETTERS) == [chr(code) for code in range(ord("a"), ord("z") + 1)]
    for name in LETTERS.values():
        stretches([(phone, 1.0) for phone in name.split()], "oculus")


def test_parts_are_words_in_small_letters() -> None:
    """So that they can be looked up."""
    for word in (*FIRST_PARTS, *SECOND_PARTS, *SHORT_CAPITALS):
        assert word.isalpha()
        assert word.islower()
