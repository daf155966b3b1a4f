"""Tokens are given to the pieces of a stream so that their number is the target's."""

from __future__ import annotations

import random

from clients.replay.pieces import spread


def test_without_a_count_each_piece_is_a_token() -> None:
    """As it is on a line that is not behind."""
    assert spread([(1.0, 3), (2.0, 1)], None) == [1.0, 2.0]


def test_fewer_tokens_than_pieces_change_nothing() -> None:
    """A token may have been cut into several."""
    assert spread([(1.0, 3), (2.0, 1)], 1) == [1.0, 2.0]


def test_every_piece_has_one_and_the_long_ones_more() -> None:
    """In proportion to their letters."""
    assert spread([(1.0, 1), (2.0, 8), (3.0, 1)], 8) == [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0]


def test_the_number_is_kept_whatever_the_pieces() -> None:
    """Times rise, and each piece has its share."""
    dice = random.Random(3)
    for _ in range(200):
        pieces = [(float(n), dice.randrange(1, 9)) for n in range(dice.randrange(1, 20))]
        count = len(pieces) + dice.randrange(0, 40)
        times = spread(pieces, count)
        assert len(times) == count
        assert times == sorted(times)
        assert set(times) == {time_s for time_s, _ in pieces}


def test_a_reply_without_pieces_has_no_tokens_to_place() -> None:
    """All of its text was held back, say."""
    assert spread([], 3) == []
