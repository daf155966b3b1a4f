"""What is expected of a reply's length."""

from __future__ import annotations

from engine.scheduler.reply_lengths import MAX_KINDS, UNKNOWN, ReplyLengths


def test_nothing_is_known_at_first() -> None:
    """Then a round number stands in, within what was asked for."""
    lengths = ReplyLengths()
    assert lengths.expect(1, None) == UNKNOWN
    assert lengths.expect(1, 10) == 10


def test_a_kind_is_told_from_the_others_once_there_is_enough_of_it() -> None:
    """A taciturn character reserves little."""
    lengths = ReplyLengths()
    for _ in range(20):
        lengths.learn(1, 200)
    assert lengths.expect(2, None) == 200
    for _ in range(4):
        lengths.learn(2, 7)
    assert (lengths.expect(1, None), lengths.expect(2, None)) == (200, 7)


def test_three_of_four_replies_are_within_what_is_expected() -> None:
    """The rare long one is not what room is kept for."""
    lengths = ReplyLengths()
    for length in (10, 20, 30, 40, 1000):
        lengths.learn(1, length)
    assert lengths.expect(1, None) == 40


def test_old_replies_are_forgotten() -> None:
    """Who changes is believed after a while."""
    lengths = ReplyLengths()
    for length in [500] * 64 + [5] * 64:
        lengths.learn(1, length)
    assert lengths.expect(1, None) == 5


def test_kinds_are_bounded() -> None:
    """The one longest unseen goes."""
    lengths = ReplyLengths()
    for kind in range(MAX_KINDS + 50):
        lengths.learn(kind, 5)
    assert len(lengths._kinds) == MAX_KINDS
