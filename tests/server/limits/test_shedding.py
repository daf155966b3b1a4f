"""Under overload those are turned away first whom it costs least; what runs goes on."""

from __future__ import annotations

import math

import pytest

from server.limits.load import Load
from server.limits.quotas import Standing
from server.limits.shedding import MIN_RUNNING, SheddingRules, judge, may_look_ahead, pressure
from tests.server.limits.steps import step

RULES = SheddingRules(max_wait_s=10.0, max_late_share=0.05)
USUAL = Standing(num_live=1, num_live_of_all=4, num_tenants=2, is_new=False)
GREEDY = Standing(num_live=3, num_live_of_all=4, num_tenants=2, is_new=False)
NEW = Standing(num_live=0, num_live_of_all=4, num_tenants=3, is_new=True)


NOW = 5000.0


def load_with(wait_s: float) -> Load:
    """An engine on which one more response would wait for so long."""
    load = Load()
    for _ in range(10):
        load.started(NOW - wait_s / 9)
    load.began(NOW)  # nine wait, and one in so many seconds gets its first token
    load.left(NOW, had_begun=True, duration_s=None)
    return load


@pytest.mark.parametrize(
    ("wait_s", "refused"),
    [
        (1.0, ()),
        (3.0, ("background",)),
        (6.0, ("background", "greedy")),
        (8.0, ("background", "greedy", "new")),
        (11.0, ("background", "greedy", "new", "usual")),
    ],
)
def test_who_is_turned_away_at_which_pressure(wait_s: float, refused: tuple[str, ...]) -> None:
    """First what nobody waits for, then who has much, then who is new, then everybody."""
    load = load_with(wait_s)
    verdicts = {
        "background": not may_look_ahead(RULES, load, NOW),
        "greedy": judge(RULES, load, GREEDY, NOW) is not None,
        "new": judge(RULES, load, NEW, NOW) is not None,
        "usual": judge(RULES, load, USUAL, NOW) is not None,
    }
    assert tuple(name for name, verdict in verdicts.items() if verdict) == refused


def test_a_refusal_says_when_to_come_back() -> None:
    """When half of the queue will have moved on, within bounds."""
    denial = judge(RULES, load_with(20.0), USUAL, NOW)
    assert denial is not None
    assert denial.is_overload
    assert denial.retry_after_s == pytest.approx(10)
    assert "about 20s" in denial.message
    far = judge(RULES, load_with(10_000.0), USUAL, NOW)
    assert far is not None
    assert far.retry_after_s == 60


def test_an_infinite_wait_sheds_nothing() -> None:
    """Whoever wants a queue gets one."""
    rules = SheddingRules(max_wait_s=math.inf, max_late_share=0.05)
    assert judge(rules, load_with(1e6), GREEDY, NOW) is None
    assert may_look_ahead(rules, load_with(1e6), NOW)


def running(num: int) -> Load:
    """So many streams run, and nobody waits."""
    load = Load()
    for _ in range(num):
        load.started(NOW)
        load.began(NOW)
    return load


def test_streams_that_come_too_late_turn_everybody_away() -> None:
    """Whoever runs is served before anybody new, however short the queue."""
    load = running(MIN_RUNNING)
    for _ in range(50):
        load.on_step(step(decode_tokens=100, num_underruns=10))
    assert pressure(RULES, load, NOW) == 1
    assert judge(RULES, load, USUAL, NOW) is not None


def test_a_machine_too_slow_for_one_still_serves_two() -> None:
    """Refusing the second would not make the first any faster."""
    load = running(1)
    for _ in range(50):
        load.on_step(step(decode_tokens=100, num_underruns=100))
    assert judge(RULES, load, NEW, NOW) is None


def test_full_memory_with_a_queue_turns_away_who_has_much() -> None:
    """One more prompt would push another out; where nothing waits there is room."""
    load = running(2)
    load.on_step(step(kv_blocks_used=99))
    assert judge(RULES, load, GREEDY, NOW) is None
    load.on_step(step(kv_blocks_used=99, num_waiting=1))
    assert judge(RULES, load, GREEDY, NOW) is not None
    assert judge(RULES, load, USUAL, NOW) is None
