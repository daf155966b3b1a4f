"""How many tokens a text is likely to be, where there is no tokenizer to ask."""

from __future__ import annotations

import re

LETTERS_PER_TOKEN = 8
"""A common English word of so many letters is one token in vocabularies of 30,000 and more."""
DIGITS_PER_TOKEN = 3

_PIECES = re.compile(r"[A-Za-z']+|[0-9]+|[^\sA-Za-z0-9']")


def estimated_tokens(text: str) -> int:
    """Estimate tokens: words by their letters, numbers by their digits, all else one by one.

    Returns:
        At least 1 for a text that is more than white space, else 0.
    """
    return sum(_tokens(piece) for piece in _PIECES.findall(text))


def _tokens(piece: str) -> int:
    most = DIGITS_PER_TOKEN if piece[0].isdecimal() and piece.isascii() else LETTERS_PER_TOKEN
    return -(-len(piece) // most)
