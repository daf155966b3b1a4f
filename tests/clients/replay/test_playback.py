"""What a listener has of a stream of tokens."""

from __future__ import annotations

import random

import pytest

from clients.replay.playback import (
    effective_tokens,
    heard_at,
    play,
    quality_of_experience,
    underruns,
)


def test_a_stream_that_leads_its_listener_has_no_underrun() -> None:
    """Ten tokens at once, read at ten a second."""
    playback = play([1.0] * 10, 0.5, 10.0)
    assert playback is not None
    assert (playback.startup_s, playback.underruns) == (0.5, 0)
    assert playback.played_s == pytest.approx(1.0)


def test_a_late_token_is_one_underrun_for_as_long_as_it_was_late() -> None:
    """The second token was due at 1.1 and came at 1.5; the third was there in time."""
    playback = play([1.0, 1.5, 1.6], 1.0, 10.0)
    assert playback is not None
    assert playback.underruns == 1
    assert playback.underrun_s == pytest.approx(0.4)


def test_a_reserve_delays_the_start_and_hides_the_gap() -> None:
    """Whoever waits for two tokens does not notice that the second came late."""
    playback = play([1.0, 1.5, 1.6], 1.0, 10.0, reserve_tokens=2)
    assert playback is not None
    assert (playback.startup_s, playback.underruns) == (0.5, 0)


def test_a_reply_without_tokens_cannot_be_played() -> None:
    """It has neither start nor underruns."""
    assert play([], 0.0, 10.0) is None


def test_what_was_heard_is_counted_at_the_listeners_speed() -> None:
    """Of five tokens at once, three have begun 0.25 s later at ten a second."""
    heard, over_s = heard_at([1.0] * 5, 1.25, 10.0)
    assert heard == 3
    assert over_s == pytest.approx(1.5)


def test_qoe_is_1_for_a_reply_that_is_never_behind() -> None:
    """Being faster than the listener, or earlier than expected, earns nothing more."""
    assert quality_of_experience([0.1] * 20, 0.0, 5.0, 1.0) == pytest.approx(1.0)
    assert quality_of_experience([1.0 + i / 5 for i in range(20)], 0.0, 5.0, 1.0) == pytest.approx(
        1
    )


def test_qoe_of_a_late_start_is_the_share_of_the_area_that_is_left() -> None:
    """One token a second, two tokens, each a second late.

    Consumed over 2 to 3 and 3 to 4 instead of 1 to 2 and 2 to 3: until 4, the areas are
    1.5 + 0.5 and 2.5 + 1.5.
    """
    assert quality_of_experience([2.0, 3.0], 0.0, 1.0, 1.0) == pytest.approx(2.0 / 4.0)


def test_qoe_falls_with_every_stall() -> None:
    """The longer the gap, the worse."""
    smooth = [1.0, 1.2, 1.4, 1.6]
    short, long = [1.0, 1.2, 2.4, 2.6], [1.0, 1.2, 4.4, 4.6]
    values = [quality_of_experience(times, 0.0, 5.0, 1.0) for times in (smooth, short, long)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 3


def test_qoe_of_nothing_is_0() -> None:
    """A reply that failed pleased nobody."""
    assert quality_of_experience([], 0.0, 5.0, 1.0) == 0.0


def test_tokens_that_come_as_they_are_read_all_count() -> None:
    """The buffer stays empty."""
    assert effective_tokens([i / 5 for i in range(100)], 5.0) == pytest.approx(100.0)


def test_tokens_far_ahead_of_the_reader_count_less_and_then_nothing() -> None:
    """A hundred at once: the first is read, 10 fit the buffer, the next ten decay to 0.

    Token number ``n`` finds ``n - 1`` unread ones, so 0 to 11 count fully (token 0 and 1 find
    none), and 12 to 20 count 0.9 down to 0.1.
    """
    assert effective_tokens([0.0] * 100, 5.0) == pytest.approx(12 + 4.5)


def test_a_pause_lets_the_buffer_drain() -> None:
    """Half at once, the other half when the first has been read."""
    times = [0.0] * 50 + [10.0] * 50
    assert effective_tokens(times, 5.0) == pytest.approx(2 * (12 + 4.5), abs=1.0)


@pytest.mark.parametrize("seed", range(5))
def test_qoe_is_what_integrating_both_curves_step_by_step_gives(seed: int) -> None:
    """A fluid listener: never faster than their speed, never ahead of what came."""
    rng = random.Random(seed)
    speed, expected_ttft, step = 5.0, 0.5, 1e-3
    times = sorted(2.0 + rng.uniform(0.1, 4.0) for _ in range(12))
    arrived = heard = actual = expected = 0.0
    now = 2.0
    while heard < len(times) - 1e-9:
        now += step
        while arrived < len(times) and times[int(arrived)] <= now:
            arrived += 1
        due = max(now - 2.0 - expected_ttft, 0.0) * speed
        if due:
            heard = min(arrived, heard + speed * step)
        actual += heard * step
        expected += min(due, float(len(times))) * step
    found = quality_of_experience(times, 2.0, speed, expected_ttft)
    assert found == pytest.approx(actual / expected, abs=3e-3)


@pytest.mark.parametrize("seed", range(5))
def test_effective_tokens_are_what_a_reader_on_a_ticking_clock_gives(seed: int) -> None:
    """Every millisecond: who is free reads one, then what comes is weighed by what lies unread."""
    rng = random.Random(seed)
    ticks = sorted(rng.randrange(4000) for _ in range(40))
    total, unread, free_at = 0.0, 0, 0
    for tick in range(20_000):
        if unread and tick >= free_at:
            unread, free_at = unread - 1, tick + 125
        for _ in range(ticks.count(tick)):
            share = unread / len(ticks)
            total += 1.0 if share <= 0.1 else max(0.0, (0.2 - share) / 0.1)
            unread += 1
            if tick >= free_at:
                unread, free_at = unread - 1, tick + 125
    found = effective_tokens([tick / 1000 for tick in ticks], 8.0)
    assert found == pytest.approx(total)


@pytest.mark.parametrize("seed", range(5))
def test_qoe_of_a_late_reply_is_1_less_the_share_of_what_its_listener_missed(seed: int) -> None:
    """The form of the authors' tracker: how late each token was, over the area expected."""
    rng = random.Random(seed)
    per_token, expected_ttft = 0.2, 1.0
    times = sorted(rng.uniform(1.0, 6.0) for _ in range(15))
    missed, user_s = 0.0, times[0]
    for number, time_s in enumerate(times):
        user_s = max(user_s, time_s)
        missed += max(user_s - (expected_ttft + number * per_token), 0.0)
        user_s += per_token
    count = len(times)
    target = (2 * user_s - 2 * expected_ttft - count * per_token) * count / 2
    found = quality_of_experience(times, 0.0, 1 / per_token, expected_ttft)
    assert found == pytest.approx(1 - missed / target)


def test_underruns_lie_where_the_listener_had_nothing_left() -> None:
    """Ten a second: the second token was due at 1.1, the fourth at 1.7 and came at 1.9."""
    times = [1.0, 1.5, 1.55, 1.9]
    first, second = underruns(times, 10.0)
    assert first == pytest.approx((1.1, 1.5))
    assert second == pytest.approx((1.7, 1.9))


def test_underruns_are_those_that_the_figures_count() -> None:
    """Whatever the reserve; a reply without tokens has none."""
    times = [0.0, 0.1, 1.0, 1.0, 3.0, 3.1]
    for reserve in (1, 2, 9):
        playback = play(times, 0.0, 4.0, reserve_tokens=reserve)
        found = underruns(times, 4.0, reserve_tokens=reserve)
        assert playback is not None
        assert playback.underruns == len(found)
        assert playback.underrun_s == pytest.approx(sum(end - begin for begin, end in found))
    assert underruns([], 4.0) == []
