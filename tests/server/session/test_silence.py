"""When a character speaks by itself."""

from __future__ import annotations

import pytest

from server.protocol.character_objects import ProactiveSetting
from server.session.silence import MAX_UNANSWERED, Silence

MINUTE = ProactiveSetting(idle_ms=60_000, max_per_hour=6)


def test_it_is_due_when_the_last_words_are_long_past() -> None:
    """The silence is counted from the end of the words."""
    silence = Silence()
    silence.begin(100.0)
    assert silence.due_at(MINUTE) == 160.0


@pytest.mark.parametrize("setting", [None, ProactiveSetting()])
def test_it_is_never_due_where_nobody_wants_it(setting: ProactiveSetting | None) -> None:
    """Without a time there is no speech by itself."""
    silence = Silence()
    silence.begin(100.0)
    assert silence.due_at(setting) is None


def test_whatever_the_user_does_ends_the_silence() -> None:
    """Typing and speaking alike."""
    silence = Silence()
    silence.begin(100.0)
    silence.end()
    assert silence.due_at(MINUTE) is None


def test_words_that_nobody_answers_come_more_and_more_rarely() -> None:
    """Twice the time after each, and none after the last."""
    silence, now, waits = Silence(), 0.0, []
    silence.begin(now)
    while (due := silence.due_at(MINUTE)) is not None:
        waits.append(due - now)
        now = due
        silence.spoke(now)
        silence.begin(now)
    assert waits == [60.0, 120.0, 240.0]
    assert len(waits) == MAX_UNANSWERED


def test_an_answer_makes_it_talkative_again() -> None:
    """The wait is the usual one after the user has spoken."""
    silence = Silence()
    silence.spoke(0.0)
    silence.answered()
    silence.begin(10.0)
    assert silence.due_at(MINUTE) == 70.0


def test_no_hour_has_more_than_so_many() -> None:
    """The next waits until the oldest is an hour old."""
    silence, twice = Silence(), ProactiveSetting(idle_ms=1000, max_per_hour=2)
    for now in (0.0, 100.0):
        silence.spoke(now)
        silence.answered()
    silence.begin(200.0)
    assert silence.due_at(twice) == 3600.0
