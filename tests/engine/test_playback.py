"""How far a stream is ahead of its listener."""

from __future__ import annotations

import pytest

from engine.playback import Playback


def test_tokens_in_time_are_a_lead_and_no_underrun() -> None:
    """Four tokens at once last a listener of two per second for two seconds."""
    playback = Playback(tokens_per_s=2.0, reserve_s=0.5)
    assert not any(playback.deliver(now=10.0) for _ in range(4))
    assert playback.lead_s(now=11.0) == pytest.approx(1.0)


def test_a_token_that_comes_after_the_last_was_consumed_is_an_underrun() -> None:
    """Counted with the time that the listener waited; then they go on anew."""
    playback = Playback(tokens_per_s=2.0, reserve_s=0.0)
    playback.deliver(now=0.0)
    assert playback.deliver(now=0.8)
    assert playback.num_underruns == 1
    assert playback.underrun_s == pytest.approx(0.3)
    assert playback.lead_s(now=0.8) == pytest.approx(0.5)


def test_the_first_token_is_never_late() -> None:
    """Nobody has begun to listen before it."""
    playback = Playback(tokens_per_s=2.0, reserve_s=0.0)
    assert not playback.has_begun
    assert not playback.deliver(now=100.0)


def test_a_report_is_believed_rather_than_the_clock() -> None:
    """Somebody who has heard one of five tokens has four to go."""
    playback = Playback(tokens_per_s=2.0, reserve_s=0.0)
    for _ in range(5):
        playback.deliver(now=0.0)
    playback.report(1, now=30.0)
    assert playback.lead_s(now=30.0) == pytest.approx(2.0)


def test_a_stream_that_another_engine_began_is_not_late_with_its_next_token() -> None:
    """All that was delivered counts as heard, until somebody says more."""
    playback = Playback(tokens_per_s=2.0, reserve_s=0.0)
    playback.resume(6, now=100.0)
    assert playback.lead_s(now=100.0) == 0.0
    playback.report(2, now=100.0)
    assert playback.lead_s(now=100.0) == pytest.approx(2.0)
    assert not playback.deliver(now=100.1)


def test_how_much_was_heard_follows_from_the_clock() -> None:
    """Rounded down, and never more than there was."""
    playback = Playback(tokens_per_s=2.0, reserve_s=0.0)
    for _ in range(4):
        playback.deliver(now=0.0)
    assert [playback.num_heard(now) for now in (0.0, 0.4, 0.5, 1.9, 2.0, 9.0)] == [0, 0, 1, 3, 4, 4]
