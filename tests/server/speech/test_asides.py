"""Actions, thoughts and code: what is told from text."""

from __future__ import annotations

import pytest

from server.speech.asides import MAX_ASIDE, MAX_GESTURE, Aside, read_aside, ticks_of_fence


def read(text: str, *, final: bool = True) -> Aside | None:
    """What the mark behind the bar opens."""
    at = text.index("|")
    return read_aside(text.replace("|", ""), at, 0, final=final)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("|*waves* Hi", "action"),
        ("|*waves* hi", "action"),
        ("|*tilts her head*", "action"),
        ("|*微笑む*やあ", "action"),
        ("|*Really* good", None),
        ("|*Really*", "action"),
        ("|*Really* Good", "action"),
        ("I |*really* mean", None),
        ("I |*nods* see", "action"),
        ("I |*looks away slowly* see", "action"),
        ("それは|*首をかしげる*ね", "action"),
        ("|**bold** x", None),
        ("|*turns **very** red*", "action"),
        ("|* item", None),
        ("2|*3*4", None),
        ("|*no end", None),
        ("|*a *", None),
        ("|*´ω`*", None),
        ("|(laughs) So", "action"),
        ("|(softly, to herself) So", "action"),
        ("|(I laughed) So", "thought"),
        ("|(Is he here?) So", "thought"),
        ("|（どうしよう）あ", "thought"),
        ("|（ため息をつく）あ", "action"),
        ("|（笑）", "action"),
        ("そう|（笑）", "action"),
        ("そう|（笑顔で）。", "action"),
        ("そう|（笑顔の人）が", None),
        ("I |(laughs) know", "action"),
        ("I |(almost) know", None),
        ("|(1) x", None),
        ("|(a) x", None),
        ("|(^_^)", None),
        ("|(a (b) cd) x", "thought"),
        ("|((((((", None),
        ("|(no end", None),
        ("|(a\nb)", None),
        ("|_He is late._ Hi", "thought"),
        ("|_sighs_ Hi", "action"),
        ("|__init__", None),
        ("a |_b_", None),
        ("|_snake_case", None),
        ("|_ x _", None),
        ("|_a b _ c", None),
        ("|`short`", None),
        ("|`a much longer piece of code`", "code"),
        ("|`日本語`", None),
        ("|``a ` much longer piece of it``", "code"),
        ("|`no end", None),
        ("|`)", None),
    ],
)
def test_kinds(text: str, kind: str | None) -> None:
    """The documented rules, with all of the text there."""
    aside = read(text)
    assert aside is not None
    assert aside.kind == kind


def test_an_aside_ends_behind_its_closing_mark() -> None:
    """Short code is passed whole, so that no mark in it counts; other text mark by mark."""
    assert read("|*waves* Hi") == Aside(7, "action")
    assert read("|`a. b` c") == Aside(6, None)
    assert read("|(1) x") == Aside(1, None)


@pytest.mark.parametrize(
    "text",
    [
        "|*",
        "|*wav",
        "|*waves*",
        "|*Really* ",
        "|(laug",
        "|_so",
        "|_so_",
        "|`",
        "|`a",
        "そう|（笑顔で）",
    ],
)
def test_it_waits_where_more_text_decides(text: str) -> None:
    """An opening mark holds the text after it until its end is known."""
    assert read(text, final=False) is None
    assert read(text, final=True) is not None


@pytest.mark.parametrize("mark", ["*", "(", "_", "`"])
def test_what_does_not_close_in_time_is_text(mark: str) -> None:
    """Nothing is held back for longer than the limit, or over a line's end."""
    assert read("|" + mark + "a" * MAX_ASIDE, final=False) == Aside(1, None)
    assert read("|" + mark + "a\n", final=False) == Aside(1, None)


def test_within_a_sentence_less_is_held_back() -> None:
    """Only a gesture may stand there, and gestures are short."""
    assert read("so |(" + "a" * MAX_GESTURE, final=False) == Aside(4, None)


def test_three_backticks_are_a_fence() -> None:
    """Fewer are not; and it waits for the code point after them."""
    assert ticks_of_fence("```py", 0, final=False) == 3
    assert ticks_of_fence("``x", 0, final=False) == 0
    assert ticks_of_fence("```", 0, final=False) is None
    assert ticks_of_fence("```", 0, final=True) == 3
