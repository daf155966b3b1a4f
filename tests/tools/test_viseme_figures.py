"""The figures' own parts: what is compared with what."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tools.viseme_figures import GOLD, edit_distance, from_cmu, morae_of


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "axc", 1), ("abc", "bc", 1), ("", "ab", 2)],
)
def test_mistakes_are_counted(first: str, second: str, distance: int) -> None:
    """What is put in, left out or replaced."""
    assert edit_distance(first, second) == distance


def test_long_vowels_are_written_out() -> None:
    """So that two ways to write one are the same, and marks do not count."""
    assert morae_of("とーきょー、だ！") == ["ト", "オ", "キョ", "オ", "ダ"]
    assert morae_of("んー") == ["ン", "ン"]
    assert morae_of("を") == morae_of("お")


def test_pronunciations_lose_their_stress() -> None:
    """And diphthongs are two sounds, as in the rules."""
    assert from_cmu(["AH0", "B", "AW1", "T"]) == ["AX", "B", "AA", "UW", "T"]


@pytest.mark.parametrize("name", ["ja.tsv", "ja_unseen.tsv"])
def test_readings_are_kana(name: str) -> None:
    """Every sentence has one, in hiragana with its marks."""
    lines = (GOLD / name).read_text(encoding="utf-8").splitlines()[1:]
    assert len(lines) >= 40
    for line in lines:
        text, said = line.split("\t")
        assert text
        assert all("ぁ" <= char <= "ん" or char in "ー。、！？…" for char in said), said


@pytest.mark.slow
def test_it_prints_its_tables() -> None:
    """From the command line, with what is installed."""
    command = [sys.executable, "-m", "tools.viseme_figures"]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=200).stdout
    assert b"Right shapes" in printed
    assert b"Cost" in printed
