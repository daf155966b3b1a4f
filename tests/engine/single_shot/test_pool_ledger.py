"""The pool's book: who gets what, in which order, and what is refused."""

from __future__ import annotations

import random

import pytest

from engine.errors import Closed, ConfigError, QueueFull
from engine.single_shot.pool_ledger import Grant, InstanceState, Make, PoolLedger, Refuse


def full_ledger(max_instances: int = 1, max_waiting: int = 4) -> PoolLedger:
    """Every instance is made and leased, to waiters from -1 down."""
    ledger = PoolLedger(max_instances, max_waiting)
    for number in range(max_instances):
        assert ledger.ask(-1 - number) == [Make(number)]
        assert ledger.made(number) == [Grant(-1 - number, number)]
    return ledger


@pytest.mark.parametrize("bounds", [(0, 4), (1, -1)])
def test_a_bound_too_small_is_refused(bounds: tuple[int, int]) -> None:
    """By name."""
    with pytest.raises(ConfigError, match="it must be"):
        PoolLedger(*bounds)


def test_an_instance_is_made_when_it_is_needed() -> None:
    """Not before, and not when one is idle."""
    ledger = PoolLedger(2, 4)
    assert ledger.count(InstanceState.MAKING) == 0
    assert ledger.ask(1) == [Make(0)]
    assert ledger.made(0) == [Grant(1, 0)]
    assert ledger.give_back(0) == []
    assert ledger.ask(2) == [Grant(2, 0)]


def test_waiters_are_served_in_order() -> None:
    """Whatever comes free goes to whoever has waited longest."""
    ledger = full_ledger()
    for waiter in (1, 2, 3):
        assert ledger.ask(waiter) == []
    ledger.leave(2)
    assert ledger.give_back(0) == [Grant(1, 0)]
    assert ledger.give_back(0) == [Grant(3, 0)]


def test_one_too_many_is_refused() -> None:
    """Those that an instance is being made for do not count as waiting."""
    ledger = PoolLedger(1, 0)
    ledger.ask(1)
    with pytest.raises(QueueFull) as caught:
        ledger.ask(2)
    assert caught.value.code == "queue_full"
    ledger.made(0)
    ledger.give_back(0)
    assert ledger.ask(3) == [Grant(3, 0)]


def test_a_failed_making_ends_one_wait_and_is_tried_for_the_next() -> None:
    """A factory that never works so ends every wait."""
    ledger = PoolLedger(1, 4)
    ledger.ask(1)
    ledger.ask(2)
    assert ledger.make_failed(0) == [Refuse(1), Make(1)]
    assert ledger.make_failed(1) == [Refuse(2)]
    ledger.check_integrity()


def test_a_discarded_instance_is_replaced_for_who_waits() -> None:
    """And only then."""
    ledger = full_ledger()
    assert ledger.discard(0) == []
    assert ledger.ask(1) == [Make(1)]
    ledger.made(1)
    ledger.ask(2)
    assert ledger.discard(1) == [Make(2)]


def test_closing_ends_waits_and_is_done_when_all_came_back() -> None:
    """What is leased, or being made, is waited for."""
    ledger = full_ledger()
    ledger.ask(1)
    assert ledger.close() == [Refuse(1)]
    assert not ledger.is_drained
    with pytest.raises(Closed):
        ledger.ask(2)
    assert ledger.give_back(0) == []
    assert ledger.is_drained


def test_an_event_that_cannot_be_is_refused() -> None:
    """What nobody holds cannot come back."""
    ledger = full_ledger()
    ledger.give_back(0)
    with pytest.raises(ValueError, match="instance 0 is"):
        ledger.give_back(0)


@pytest.mark.parametrize("seed", range(20))
def test_random_histories_keep_the_book_right(seed: int) -> None:
    """Whatever happens in whatever order, every waiter ends once and nothing is lost."""
    dice = random.Random(seed)
    ledger = PoolLedger(dice.randint(1, 3), dice.randint(0, 4))
    held: dict[int, int] = {}
    making: list[int] = []
    waiting: list[int] = []
    for step in range(300):
        event = dice.choice(["ask", "ask", "leave", "made", "failed", "back", "discard"])
        effects = []
        if event == "ask":
            try:
                waiting.append(step)
                effects = ledger.ask(step)
            except QueueFull:
                waiting.pop()
        elif event == "leave" and waiting:
            ledger.leave(waiting.pop(dice.randrange(len(waiting))))
        elif event in ("made", "failed") and making:
            told = ledger.made if event == "made" else ledger.make_failed
            effects = told(making.pop(dice.randrange(len(making))))
        elif event in ("back", "discard") and held:
            told = ledger.give_back if event == "back" else ledger.discard
            waiter = dice.choice(list(held))
            effects = told(held.pop(waiter))
        for effect in effects:
            if isinstance(effect, Make):
                making.append(effect.instance)
                continue
            assert effect.waiter == waiting.pop(0)  # in order
            if isinstance(effect, Grant):
                assert effect.instance not in held.values()
                held[effect.waiter] = effect.instance
        ledger.check_integrity()
        assert ledger.num_waiting == len(waiting)
    ledger.close()
    for instance in held.values():
        ledger.give_back(instance)
    for instance in making:
        ledger.made(instance)
    assert ledger.is_drained
    ledger.check_integrity()
