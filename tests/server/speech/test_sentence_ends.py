"""Marks that end a sentence, marks that do not, and what belongs behind them."""

from __future__ import annotations

import pytest

from server.speech.sentence_ends import (
    MAX_SPACES,
    MAX_TAIL,
    Tail,
    is_emoji,
    mark_ends,
    read_spaces,
    read_tail,
)


def ends(text: str, *, final: bool = True) -> bool | None:
    """Whether the mark behind the bar ends the sentence."""
    at = text.index("|")
    return mark_ends(text.replace("|", ""), at, 0, final=final)


@pytest.mark.parametrize(
    "text",
    [
        "はい|。",
        "Fine|. Good",
        "Hi|!How",
        "すごい|!でも",
        "It is 3|. You",
        "at 5 p.m|. We",
        "in the U.S|. She",
        "etc|. Then",
        "So am I|. Let",
        "Plan B|. Now",
        "No|. I won't",
        "St|. The",
        "a 'miracle|.' So",
        "OK|.そう",
        "snacks etc|.」",
        "Acme Inc|.",
        "It is ver|.",
        "Grade A|.",
        "２０２６年|．",
        "Plan J|. “Yes",
    ],
)
def test_a_sentence_ends(text: str) -> None:
    """With all of the text there."""
    assert ends(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "3|.14",
        "３|．１４",
        "１|．水",
        "v2|.10.3",
        "Dr|. Who",
        "e.g|. this",
        "at 5 p.m|. on",
        "the U.S|. Army",
        "J|. K. Rowling",
        "J. K|. Rowling",
        "I|. M. Pei",
        "St|. Louis",
        "No|. 5",
        "Fig|. 3",
        "100 m|. in",
        "1|. Apples",
        "a|. apples",
        "example|.com",
        "U.S.A|.は",
        "etc|., and",
        "read|.me'",
        "x|?q=1",
        "abc|!xyz",
        "http://a/b|?Q",
        "x |!= y",
        "it|.'s",
        "line|.\nnext",
    ],
)
def test_no_sentence_ends(text: str) -> None:
    """Numbers, abbreviations, addresses, lists; and a line's end does it without the stop."""
    assert ends(text) is False


@pytest.mark.parametrize(
    "text", ["Fine|.", "Fine|. ", "Hi|!", "３|．", "the U.S|. Th", "So I|. M", "it|.'"]
)
def test_it_waits_where_more_text_decides(text: str) -> None:
    """There is no answer that more text could make wrong."""
    assert ends(text, final=False) is None
    assert ends(text, final=True) is not None


@pytest.mark.parametrize(
    ("text", "marks_end", "end"),
    [
        ("!?) \nHow", 3, 5),
        ("」』そう", 2, 2),
        ("😊😊 How", 2, 3),
        (" 😊 How", 2, 3),
        (" :) How", 3, 4),
        (" :How", 0, 1),
        ("…… x", 2, 3),
        ("……x", 0, 0),
        ("** x", 2, 3),
        ("*x*", 0, 0),
        ("\n😊", 0, 1),
    ],
)
def test_marks_faces_and_spaces_belong_to_the_sentence(text: str, marks_end: int, end: int) -> None:
    """What stands behind its last mark, up to the next words."""
    tail = read_tail(text, 0, in_quotes=False, final=True)
    assert tail is not None
    assert (tail.marks_end, tail.end) == (marks_end, end)


@pytest.mark.parametrize(
    ("text", "goes_on"),
    [
        ('" he said', True),
        ('" He', False),
        ("」と", True),
        ("」とても", False),
        ("」は違う", True),
        ("」はい、", False),
        ("」なんだ", True),
        ("」\nと", False),
        (" he", False),
    ],
)
def test_a_sentence_goes_on_after_a_quotation(text: str, goes_on: bool) -> None:
    """With a small letter, or a particle that is not the beginning of a word."""
    tail = read_tail(text, 0, in_quotes=True, final=True)
    assert tail is not None
    assert tail.goes_on is goes_on


@pytest.mark.parametrize("text", ["", "」", '"', "…", " ", " :", "」と", "!" * MAX_TAIL])
def test_a_tail_waits_for_the_text_behind_it(text: str) -> None:
    """Until something has come that does not belong to it."""
    assert read_tail(text, 0, in_quotes=True, final=False) is None
    assert read_tail(text, 0, in_quotes=True, final=True) is not None


def test_a_straight_quote_belongs_to_the_sentence_if_one_is_open() -> None:
    """Otherwise it opens the next."""
    assert read_tail('"Yes', 0, in_quotes=False, final=True) == Tail(0, 0, False, False, '"')
    closed = read_tail('"Yes', 0, in_quotes=True, final=True)
    assert closed is not None
    assert closed.end == 1


def test_a_tail_is_bounded_and_splits_no_cluster() -> None:
    """Marks and spaces without end are cut, between two faces."""
    family = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
    tail = read_tail(family * 20, 0, in_quotes=False, final=False)
    assert tail is not None
    assert tail.end % 5 == 0
    assert tail.end <= MAX_TAIL
    assert read_spaces(" " * 500, 0, final=False) == MAX_SPACES


def test_emoji_are_symbols_and_what_joins_them() -> None:
    """Letters and marks of text are none."""
    assert all(map(is_emoji, "😊♪\u200d\ufe0f\U0001f3fd"))
    assert not any(map(is_emoji, "aあ。"))
