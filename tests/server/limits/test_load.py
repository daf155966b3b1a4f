"""The wait of one more response is foretold by the queue and by the rows."""

from __future__ import annotations

import random

import pytest

from server.limits.load import MIN_QUEUE, Load
from tests.server.limits.steps import step


def test_nothing_is_foretold_of_an_idle_engine() -> None:
    """Nobody waits, and nothing is known."""
    assert Load().predicted_wait_s(100.0) == 0


def test_the_queue_foretells_by_the_rate_of_first_tokens() -> None:
    """Two per second and ten that wait: five seconds."""
    load, now = Load(), 0.0
    for _ in range(30):
        load.started(now)
    for _ in range(20):
        now += 0.5
        load.began(now)
    assert load.predicted_wait_s(now) == pytest.approx(5, rel=0.05)


def test_time_in_which_nobody_waits_is_not_counted() -> None:
    """An hour of silence does not make an engine slow."""
    load, now = Load(), 0.0
    for _ in range(20):
        load.started(now)
        now += 0.1
        load.began(now)
        load.left(now, had_begun=True, duration_s=None)
        now += 3600
    for _ in range(10):
        load.started(now)
    assert load.predicted_wait_s(now) == pytest.approx(1.0)


def test_few_that_wait_foretell_nothing() -> None:
    """One long prompt on a slow machine does not turn others away."""
    load = Load()
    for _ in range(MIN_QUEUE - 1):
        load.started(0)
    assert load.predicted_wait_s(1000) == 0


def test_an_engine_that_gives_no_token_foretells_ever_longer_waits() -> None:
    """It need not have served anybody to be known as slow."""
    load = Load()
    for _ in range(5):
        load.started(0)
    waits = [load.predicted_wait_s(now) for now in (1, 2, 3)]
    assert waits[0] == pytest.approx(5)
    assert waits == sorted(set(waits))


def test_full_rows_foretell_by_the_length_of_replies() -> None:
    """Four rows, eight seconds each, two that wait: the third is served after six seconds."""
    load = Load()
    load.num_rows = 4
    load.started(0)
    load.began(0)
    load.left(8, had_begun=True, duration_s=8)
    for _ in range(4):
        load.started(8)
        load.began(8)
    load.started(8)
    load.started(8)
    assert load.predicted_wait_s(8) == pytest.approx(6)


def test_free_rows_foretell_no_wait() -> None:
    """Who finds a row does not wait for others to end."""
    load = Load()
    load.num_rows = 4
    load.started(0)
    load.began(0)
    load.left(8, had_begun=True, duration_s=8)
    load.started(8)
    assert load.predicted_wait_s(8) == 0


def test_late_tokens_are_a_share_that_fades() -> None:
    """A bad moment is over after some thousand good tokens."""
    load = Load()
    for _ in range(100):
        load.on_step(step(decode_tokens=100, num_underruns=50))
    assert load.late_share == pytest.approx(0.5, abs=0.01)
    for _ in range(100):
        load.on_step(step(decode_tokens=100))
    assert load.late_share < 0.01


def test_steps_tell_of_the_memory_and_the_engines_queue() -> None:
    """As they stand after the step."""
    load = Load()
    load.on_step(step(kv_blocks_used=3, kv_blocks_total=4, num_waiting=1))
    assert (load.kv_share, load.has_queue) == (0.75, True)


@pytest.mark.parametrize("seed", range(5))
def test_counts_never_drift(seed: int) -> None:
    """Whatever comes, and whenever the clock says: sums stay right, waits stay finite."""
    rng, load, now = random.Random(seed), Load(), 0.0
    load.num_rows = 3
    waiting = running = 0
    for _ in range(1000):
        now += rng.choice((0.0, 0.01, 1.0, 100.0, -0.5))
        match rng.randrange(4):
            case 0:
                load.started(now)
                waiting += 1
            case 1 if waiting:
                load.began(now)
                waiting, running = waiting - 1, running + 1
            case 2 if running:
                load.left(now, had_begun=True, duration_s=rng.choice((None, 3.0)))
                running -= 1
            case 3 if waiting:
                load.left(now, had_begun=False, duration_s=None)
                waiting -= 1
        load.check_integrity()
        assert (load.num_waiting, load.num_running) == (waiting, running)
        assert 0 <= load.predicted_wait_s(now) < float("inf")
