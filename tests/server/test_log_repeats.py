"""How often the same warning is written."""

from __future__ import annotations

from random import Random

from server.log_repeats import MAX_KINDS, RepeatLimit


def test_a_few_are_written_and_the_rest_counted() -> None:
    """The first of the next window says how many there were."""
    limit = RepeatLimit(burst=2, window_s=10.0)
    assert [limit.judge("a", 1.0) for _ in range(5)] == [0, 0, None, None, None]
    assert limit.judge("a", 10.9) is None
    assert limit.judge("a", 11.0) == 4
    assert limit.judge("a", 11.0) == 0


def test_kinds_do_not_share() -> None:
    """One that repeats does not hide another."""
    limit = RepeatLimit(burst=1, window_s=10.0)
    assert [limit.judge("a", 0.0), limit.judge("a", 0.0), limit.judge("b", 0.0)] == [0, None, 0]


def test_what_stopped_repeating_is_told_of_once() -> None:
    """When its window has ended, and not again."""
    limit = RepeatLimit(burst=1, window_s=10.0)
    for _ in range(4):
        limit.judge("a", 0.0)
    assert limit.overdue(9.9) == []
    assert limit.overdue(10.0) == [("a", 3)]
    assert limit.overdue(20.0) == []


def test_the_number_of_kinds_is_bounded() -> None:
    """Whatever the lines say."""
    limit = RepeatLimit()
    for number in range(3 * MAX_KINDS):
        limit.judge(number, 0.0)
    assert len(limit) == MAX_KINDS


def test_every_line_is_written_or_counted() -> None:
    """Over random histories no line is lost from the sum."""
    choose = Random(3)
    limit, now, sent, told = RepeatLimit(burst=3, window_s=5.0), 0.0, 0, 0
    for _ in range(2000):
        now += choose.expovariate(5.0)
        if choose.random() < 0.1:
            told += sum(count for _, count in limit.overdue(now))
        else:
            sent += 1
            held = limit.judge(choose.randrange(4), now)
            told += 0 if held is None else 1 + held
    told += sum(count for _, count in limit.overdue(now + 5.0))
    assert told == sent
