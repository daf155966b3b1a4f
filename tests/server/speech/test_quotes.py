"""Marks that open quotations."""

from __future__ import annotations

import pytest

from server.speech.quotes import opens_quote


@pytest.mark.parametrize(
    ("text", "at", "opens"),
    [
        ("「あ", 0, True),
        ("a」", 1, False),
        ('say "hi', 4, True),
        ('"hi', 0, True),
        ('5" of', 1, False),
        ('a " b', 2, False),
        ('言う"hi', 2, True),
    ],
)
def test_a_mark_opens_or_not(text: str, at: int, opens: bool) -> None:
    """Paired marks do; a straight one does before a word."""
    assert opens_quote(text, at, 0, final=False) is opens


def test_a_straight_quote_waits_for_what_follows() -> None:
    """At the end of what has come it may still open; at the end of all it does not."""
    assert opens_quote('a "', 2, 0, final=False) is None
    assert opens_quote('a "', 2, 0, final=True) is False
