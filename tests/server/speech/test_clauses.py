"""Marks inside a sentence: where a clause ends, and where none does."""

from __future__ import annotations

import pytest

from server.speech.clauses import read_clause_mark, read_clause_tail


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("well| , so", None),
        ("well|, so", 6),
        ("あの|、ね", 3),
        ("wait|—what", 5),
        ("so|… yes", 4),
        ("so|... yes", 6),
        ("a |- b", 4),
        ("a|--b", 3),
        ("note|: x", 6),
        ("22|,1", None),
        ("12|:30", None),
        ("１２|：３０", None),
        ("well|-known", None),
        ("3|–5", None),
        ("May 5|, 2026", None),
        ("so|...?", None),
        ("so|…」", None),
        ("so|,\nyes", None),
        ("so|,", None),
    ],
)
def test_a_clause_ends_or_not(text: str, end: int | None) -> None:
    """The mark after the bar, with all the text there."""
    at = text.index("|")
    text = text.replace("|", "")
    if text[at] == " ":
        at += 1
        end = at + 2
    mark = read_clause_mark(text, at, 0, final=True)
    assert mark is not None
    assert (mark.end if mark.soft else None) == end


@pytest.mark.parametrize("text", [",", ", ", "—", "..", "、"])
def test_it_waits_for_what_follows(text: str) -> None:
    """Until a code point has come that is no space and not the same mark."""
    assert read_clause_mark(text, 0, 0, final=False) is None


def test_a_quote_that_opens_behind_the_spaces_lets_the_clause_end() -> None:
    """Directly behind the mark it closes, behind a space it opens."""
    opens = read_clause_tail('so, "yes', 3, final=False)
    closes = read_clause_tail('so," yes', 3, final=False)
    assert opens is not None
    assert opens.soft
    assert closes is not None
    assert not closes.soft
