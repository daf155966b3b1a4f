"""The gold set: every reply is cut as one who reads it aloud would cut it."""

from __future__ import annotations

import pytest

from tools.segment_figures import NAMES, is_right, read_gold, segment

MISSES = {
    # A quotation inside a clause; nothing in its marks tells it from one that ends there.
    "mixed": ['他说"OK!"然后走了。'],
    # Abbreviations that are also whole words, or begin like a list.
    "unseen": ["P.S. I love you.", "I'm 5 ft. 7 in. tall. How about you?"],
}


@pytest.mark.parametrize(
    ("name", "least"), [("ja", 120), ("zh", 120), ("en", 120), ("mixed", 40), ("unseen", 75)]
)
def test_replies_are_cut_as_wanted(name: str, least: int) -> None:
    """All of them, save the misses that are known."""
    cases = read_gold(name)
    assert len(cases) >= least
    wrong = [case.text for case in cases if not is_right(case, segment(case.text, (), case.marks))]
    assert wrong == MISSES.get(name, [])


@pytest.mark.parametrize("name", NAMES)
def test_letter_by_letter_nothing_changes(name: str) -> None:
    """Every reply, and all of them as one."""
    cases = read_gold(name)
    for case in cases:
        letters = segment(case.text, range(len(case.text)), case.marks)
        assert letters == segment(case.text, (), case.marks)
    text = "".join(case.text for case in cases)
    assert segment(text, range(len(text))) == segment(text)


def test_languages_are_told() -> None:
    """In the sets of one language; a lone ellipsis is a known miss."""
    wrong = [
        part.text
        for name in ("ja", "zh", "en")
        for case in read_gold(name)
        for part in segment(case.text, (), case.marks)
        if part.kind != "code" and part.lang != name
    ]
    assert wrong == ["……。"]
