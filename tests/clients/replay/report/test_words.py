"""What reports say in which language."""

from __future__ import annotations

import re
import string

import pytest

from clients.replay.report.words import LANGUAGES, words
from clients.replay.script import ScriptError

_KANA = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def test_every_saying_is_there_in_both_languages() -> None:
    """English has no Japanese letter in it, Japanese has."""
    english, japanese = words("en"), words("ja")
    assert english.keys() == japanese.keys()
    assert not any(_KANA.search(said) for said in english.values())
    assert all(_KANA.search(said) for said in japanese.values())


def test_both_languages_fill_in_the_same_numbers() -> None:
    """A caption that names a number names it in both."""
    english, japanese = words("en"), words("ja")

    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for about, said in english.items():
        assert fields(said) == fields(japanese[about])


def test_another_language_is_refused_with_those_that_are_there() -> None:
    """By its name, shortened."""
    with pytest.raises(ScriptError, match="'fr' is no language of reports"):
        words("fr")
    assert LANGUAGES == ("en", "ja")
