"""Keys are found where they count, and patterns end in time."""

from __future__ import annotations

import itertools

import pytest

from server.lore.keys import MAX_PATTERN_LENGTH, KeyFinder, KeyStyle, Scanned

ANY_CASE, CASE = KeyStyle(), KeyStyle(case_sensitive=True)
PARTS, PATTERN = KeyStyle(whole_words=False), KeyStyle(is_regex=True)


def finds(key: str, text: str, style: KeyStyle = ANY_CASE) -> bool:
    """With a finder of its own and a clock that stands still."""
    return KeyFinder(lambda: 0.0).finds(key, Scanned.of(text), style)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("cat", "The cat's here"),
        ("cat", "category of a CAT"),
        ("cat", "a cat"),
        ("old mill", "at the Old Mill."),
        ("葵", "私は葵です"),
        ("Aoi", "それはAoiさんです"),
        ("Ａｏｉ", "it is aoi"),
        ("ｱｵｲ", "アオイだ"),
        ("고양이", "고양이가 있다"),
        ("Straße", "die STRASSE"),
        ("Łódź", "in łódź now"),
        ("c++", "I like C++!"),
        (" cat ", "a cat"),
    ],
)
def test_a_key_is_found(key: str, text: str) -> None:
    """As a word where words have spaces, as a part where they have none."""
    assert finds(key, text)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("cat", "category"),
        ("cat", "concat"),
        ("mill", "million"),
        ("", "x"),
        (" ", " "),
        ("é", "né"),
    ],
)
def test_a_key_is_not_found_within_a_word(key: str, text: str) -> None:
    """And an empty one never."""
    assert not finds(key, text)


def test_an_entry_may_ask_for_parts_and_for_case() -> None:
    """By its style."""
    assert finds("cat", "category", PARTS)
    assert finds("Cat", "a Cat", CASE)
    assert not finds("Cat", "a cat", CASE)


@pytest.mark.parametrize(
    ("key", "text", "style", "found"),
    [
        ("/drag(on|oness)s?/i", "Two DRAGONS", ANY_CASE, True),
        ("/drag(on|oness)s?/", "Two DRAGONS", ANY_CASE, False),
        ("/^fire/m", "ice\nfire", ANY_CASE, True),
        ("/a.b/s", "a\nb", ANY_CASE, True),
        ("/a.b/", "a\nb", ANY_CASE, False),
        (r"/\u{3042}/u", "あ", ANY_CASE, True),
        (r"/(?<q>['\"]).*\k<q>/", "say 'x'", ANY_CASE, True),
        ("/a[^]b/", "a\nb", ANY_CASE, True),
        (r"/and\/or/g", "and/or", ANY_CASE, True),
        ("drag(on|oness)", "A Dragoness", PATTERN, True),
        ("a.c", "abc", ANY_CASE, False),
    ],
)
def test_patterns_are_written_as_in_javascript(
    key: str, text: str, style: KeyStyle, found: bool
) -> None:
    """Between slashes with flags, or bare where the entry says so."""
    assert finds(key, text, style) is found


@pytest.mark.parametrize(
    "key",
    ["/(/", "/a/q", f"/{'a' * (MAX_PATTERN_LENGTH + 1)}/", "/" + "(" * 399 + "/", r"/\u{ffffff}/"],
)
def test_a_bad_pattern_is_told_once_and_finds_nothing(key: str) -> None:
    """With the reason and the way out; others go on."""
    finder, text = KeyFinder(lambda: 0.0), Scanned.of("aaa (")
    assert not finder.finds(key, text, ANY_CASE)
    assert not finder.finds(key, text, ANY_CASE)
    (problem,) = finder.take_problems()
    assert "is not used in this session" in problem
    assert "write it shorter or simpler" in problem
    assert len(problem) < 350
    assert finder.take_problems() == []
    assert finder.finds("/aa/", text, ANY_CASE)


def test_a_pattern_that_never_ends_is_switched_off() -> None:
    """Its second search costs nothing, and its problem is told once."""
    finder, text = KeyFinder(lambda: 0.0), Scanned.of("a" * 5000 + "b")
    assert not finder.finds("/(a|aa)+$/", text, ANY_CASE)
    (problem,) = finder.take_problems()
    assert "took more than" in problem
    assert not finder.finds("/(a|aa)+$/", Scanned.of("aa"), ANY_CASE)
    assert finder.take_problems() == []


def test_all_patterns_of_a_turn_have_one_time_together() -> None:
    """What comes behind finds nothing, until the next turn; plain keys always do."""
    seconds = itertools.count(step=0.015)
    finder, text = KeyFinder(lambda: next(seconds)), Scanned.of("abc")
    found = [finder.finds(f"/{letter}/", text, ANY_CASE) for letter in "abcabc"]
    assert found == [True, True, True, True, False, False]
    assert finder.finds("abc", text, ANY_CASE)
    finder.begin_turn()
    assert finder.finds("/a/", text, ANY_CASE)


def test_of_a_very_long_text_the_end_is_searched() -> None:
    """Where the newest words are."""
    assert not finds("cat", "cat " + "x " * 20_000)
    assert finds("cat", "x " * 20_000 + "cat")
