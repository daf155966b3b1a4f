"""A text that grows in pieces is their concatenation, whenever it is read."""

from __future__ import annotations

import random

from server.text.growing_text import GrowingText


def test_it_is_what_was_appended_in_order() -> None:
    """Over histories longer than it keeps pieces for, read now and then."""
    dice = random.Random(7)
    for _ in range(20):
        expected = "".join(dice.choices("aé灯🎐", k=dice.randrange(3)))
        text = GrowingText(expected)
        for _ in range(dice.randrange(300)):
            piece = "".join(dice.choices("aé灯🎐 ", k=dice.randrange(5)))
            text.append(piece)
            expected += piece
            if dice.random() < 0.05:
                assert text.read() == expected
        assert text.read() == expected
        assert text.num_chars == len(expected)
