"""Texts are guessed to have about the tokens that they would have."""

from __future__ import annotations

import pytest

from clients.replay.token_estimate import estimated_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        (" \n", 0),
        ("hello", 1),
        ("Hello, you!", 4),
        ("internationalization", 3),
        ("it's", 1),
        ("in 2026", 3),
        ("1234567", 3),
        ("こんにちは。", 6),
        ("٣٤", 2),
    ],
)
def test_words_numbers_and_signs_are_counted(text: str, tokens: int) -> None:
    """Letters by the word, other scripts one by one."""
    assert estimated_tokens(text) == tokens
