"""Pending text: when it is cut for its length, and what waits."""

from __future__ import annotations

from server.speech.pending import MAX_QUOTATION, Pending


def fill(text: str, *, least: int = 4, most: int = 12) -> Pending:
    """Pending text of which nothing has been read."""
    pending = Pending(least, most)
    pending.text = text
    return pending


def test_length_cuts_at_the_very_code_point() -> None:
    """The first code point too many ends the segment before it, however much is read at once."""
    pending = fill("abcdefghijklmnop")
    pending.advance(12)
    assert pending.take_cuts() == []
    pending.advance(13)
    assert [cut.text for cut in pending.take_cuts()] == ["abcdefghijkl"]


def test_wide_characters_count_twice() -> None:
    """Six of them fill twelve columns."""
    pending = fill("ああああああああ")
    pending.advance(8)
    assert [cut.text for cut in pending.take_cuts()] == ["ああああああ"]


def test_a_good_place_is_better_than_the_last_one() -> None:
    """A place passed before, unless it is near the beginning."""
    pending = fill("abcdef, ghijklmnop")
    pending.pass_place(8, "clause")
    pending.advance(18)
    assert [(cut.text, cut.boundary) for cut in pending.take_cuts()] == [("abcdef, ", "clause")]


def test_a_space_is_the_second_best_place() -> None:
    """The last one; what is read goes on behind it."""
    pending = fill("abc de fghijklmnop")
    pending.advance(18)
    assert [cut.text for cut in pending.take_cuts()] == ["abc de "]
    assert pending.text == "fghijklmnop"


def test_a_short_sentence_waits_once_something_is_spoken() -> None:
    """Not before, and not at a line's end."""
    pending = fill("a. bc. d. e. fgh. ")
    pending.end_sentence(2, 3, last=False)
    pending.end_sentence(6, 7, last=False)
    pending.end_sentence(9, 10, last=False)
    assert pending.ended == 10
    assert pending.words == "d. "
    pending.end_sentence(12, 13, last=True)
    assert [cut.text for cut in pending.take_cuts()] == ["a. ", "bc. ", "d. e. "]


def test_a_long_quotation_is_cut_at_its_sentences() -> None:
    """As soon as it has too many columns, at those that were passed."""
    pending = fill("「ああ。い。" + "う" * 40, most=500)
    pending.open_quote("」")
    pending.pass_quoted_end(4)
    pending.pass_quoted_end(6)
    pending.advance(MAX_QUOTATION // 2)
    assert pending.quoted
    pending.advance(MAX_QUOTATION // 2 + 1)
    assert not pending.quoted
    assert [cut.text for cut in pending.take_cuts()] == ["「ああ。", "い。"]


def test_a_mark_closes_what_was_opened_within() -> None:
    """「（」 leaves nothing open."""
    pending = fill("「（a」b")
    pending.open_quote("」")
    pending.open_quote(")）")
    assert pending.closes_quote("）")
    pending.close_quotes("x」")
    assert not pending.quoted


def test_reading_again_begins_at_the_segment() -> None:
    """Its columns are counted anew."""
    pending = fill("ab cd")
    pending.advance(2)
    pending.read_again()
    assert (pending.at, pending.before, pending.words) == (0, " ", "")
