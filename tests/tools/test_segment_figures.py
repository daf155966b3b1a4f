"""The gold format, and the figures made from it."""

from __future__ import annotations

from tools.segment_figures import boundaries, first_at, is_right, read_case, segment


def test_a_line_tells_text_marks_kinds_and_tags() -> None:
    """Each sign of the format vanishes from the text."""
    case = read_case("Hi! |‹a›*waves*‖Yes.⏎|‹c›```x```")
    assert case.text == "Hi! *waves*Yes.\n```x```"
    assert case.marks == {11}
    assert case.parts == (
        ("speech", "Hi! "),
        ("action", "*waves*"),
        ("speech", "Yes.\n"),
        ("code", "```x```"),
    )


def test_right_is_every_text_and_kind() -> None:
    """A cut too many, or another kind, is a miss."""
    assert is_right(read_case("Hi! |Yes."), segment("Hi! Yes."))
    assert not is_right(read_case("Hi! Yes."), segment("Hi! Yes."))
    assert not is_right(read_case("‹a›Hi!"), segment("Hi!"))


def test_cuts_are_compared_before_their_spaces() -> None:
    """Splitters differ in whose the spaces are."""
    assert boundaries(["Hi! ", "Yes."]) == boundaries(["Hi!", " Yes."]) == {3}


def test_the_first_clause_is_what_comes_early() -> None:
    """Without it, the first sentence has to end."""
    text = "That being said, I am here. Yes."
    assert first_at(text, whole_sentences=False) == 18
    assert first_at(text, whole_sentences=True) == 29
