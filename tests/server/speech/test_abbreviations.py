"""Words with a full stop, as their readers take them to be."""

from __future__ import annotations

import itertools

import pytest

from server.speech.abbreviations import ANYWHERE, NUMBERED, TITLES, UNITS

LISTS = (TITLES, NUMBERED, ANYWHERE, UNITS)


@pytest.mark.parametrize("words", LISTS)
def test_words_are_small_and_without_their_last_stop(words: frozenset[str]) -> None:
    """Whoever looks one up has taken both off."""
    assert all(word == word.lower().strip(". ") != "" for word in words)


def test_no_word_follows_two_rules() -> None:
    """But for what may be a page or a unit."""
    twice = {word for one, other in itertools.combinations(LISTS, 2) for word in one & other}
    assert twice <= {"p", "v"}
