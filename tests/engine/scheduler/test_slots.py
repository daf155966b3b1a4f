"""Slots and their epochs."""

from __future__ import annotations

from engine.scheduler.slots import SlotTable
from tests.engine.scheduler.requests import make_request


def test_a_result_goes_to_who_held_the_slot_when_its_step_was_planned() -> None:
    """What a step computed for somebody who has left is nobody's."""
    slots = SlotTable(1)
    first, second = make_request("first"), make_request("second")
    slots.take(first, step=3)
    assert slots.holder(0, step=3) is first
    slots.release(first)
    assert slots.holder(0, step=3) is None
    slots.take(second, step=5)
    assert slots.holder(0, step=4) is None
    assert slots.holder(0, step=5) is second


def test_a_slot_is_free_as_soon_as_it_is_released() -> None:
    """The next plan may use it, whatever is in flight."""
    slots = SlotTable(2)
    request = make_request()
    slots.take(request, step=1)
    assert (slots.num_free, len(slots), slots.holders()) == (1, 1, [request])
    slots.release(request)
    assert (slots.num_free, request.slot) == (2, -1)
