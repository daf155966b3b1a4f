"""The judge of tags, on replies whose faults are known."""

from __future__ import annotations

import pytest

from tools.tag_judge import judge, leaks

FACES, MOTIONS = ("happy", "sad"), ("wave",)


def faults(raw: str, *, every: str = "segment", is_whole: bool = True) -> tuple[int, int, int]:
    """Illegal brackets, tags without words, places without a tag."""
    found = judge(raw, FACES, MOTIONS, every=every, is_whole=is_whole)
    return found.num_illegal, found.num_stacked, found.num_missing


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("[happy] Hi. [sad:0.55] Oh.", (0, 0, 0)),
        ("[happy][motion:wave]Hi", (0, 0, 0)),
        ("Hi", (0, 0, 1)),
        ("[happy] Hi. Oh.", (0, 0, 1)),
        ("[happy] Hi! [1] Oh", (2, 0, 1)),
        ("[happy] Hi [hap", (1, 0, 0)),
        ("[happy][sad] Hi", (0, 1, 0)),
        ("[happy] Hi [sad]", (0, 1, 0)),
        ("[Happy] Hi", (2, 0, 1)),
        ("[happy:0.05] Hi", (2, 0, 1)),
    ],
)
def test_faults_are_counted(raw: str, expected: tuple[int, int, int]) -> None:
    """Each under its own name."""
    assert faults(raw) == expected


def test_one_tag_may_be_enough() -> None:
    """Where the reply has to begin with one, and no more."""
    assert faults("[happy] Hi. Oh.", every="reply") == (0, 0, 0)


@pytest.mark.parametrize(
    "raw", ["[happy] Hi [sa", "[happy] Hi [sad]", "[hap", "[happy]", "[sad]a\n\ufffd"]
)
def test_a_reply_that_was_cut_off_may_end_anywhere(raw: str) -> None:
    """Even within a tag or a character."""
    assert faults(raw, is_whole=False) == (0, 0, 0)


def test_places_and_tags_are_counted() -> None:
    """For rates."""
    found = judge("[happy] Hi. Oh! [sad] No.", FACES, MOTIONS)
    assert (found.num_tags, found.num_starts, found.num_missing) == (2, 3, 1)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("Hi [happy] you", True),
        ("Hi [hap", True),
        ("Hi [", True),
        ("Hi [motion:jump] you", True),
        ("see [1]", False),
        ("a ［b］ c", False),
        ("Hi", False),
    ],
)
def test_a_leak_is_seen(shown: str, expected: bool) -> None:
    """A tag, something like one, or the beginning of one at the end."""
    assert leaks(shown) is expected
