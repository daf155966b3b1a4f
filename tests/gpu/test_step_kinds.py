"""Which graph a step is replayed from: its own, or for a while a larger one."""

from __future__ import annotations

from dataclasses import replace

from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.step.slot_step import decode_sizes, mixed_sizes
from engine.gpu.step.step_kinds import KindChooser, StepKind

PLANNER = WorkPlanner([None], 8, 2)


def decode(batch: int, stretches: int = 4) -> StepKind:
    """A step of single tokens that samples."""
    return StepKind(decode_sizes(batch, stretches, PLANNER), samples=True)


def test_a_step_is_replayed_from_its_own_graph_if_there_is_one() -> None:
    """Not from a larger one."""
    assert KindChooser().choose(decode(4), [decode(8), decode(4)]) == decode(4)


def test_a_larger_graph_stands_in_until_the_kind_has_come_often() -> None:
    """The smallest of those that can."""
    chooser, captured = KindChooser(), [decode(16), decode(8), decode(64)]
    chosen = [chooser.choose(decode(4), captured) for _ in range(17)]
    assert chosen[:16] == [decode(8)] * 16
    assert chosen[16] == decode(4)


def test_with_nothing_to_stand_in_a_graph_is_captured_once_the_kind_has_come_again() -> None:
    """Much larger ones would take too long, smaller ones do not hold it."""
    for wanted, captured in (
        (decode(4), [decode(64), decode(2)]),
        (decode(4, 8), [decode(8, 2)]),
    ):
        chooser = KindChooser()
        chosen = [chooser.choose(wanted, captured) for _ in range(3)]
        assert chosen == [None, None, wanted]


def test_what_is_wanted_of_the_logits_must_be_in_the_graph() -> None:
    """More than that may be."""
    plain, changing = decode(8), replace(decode(8), changes=True)
    assert changing.stands_in_for(plain)
    assert not plain.stands_in_for(changing)
    assert not plain.stands_in_for(replace(plain, reports=True))
    assert plain.stands_in_for(replace(plain, samples=False))


def test_decodes_and_chunks_do_not_stand_in_for_each_other() -> None:
    """They read their logits from different rows."""
    mixed = StepKind(mixed_sizes(64, 8, 4, PLANNER), samples=True)
    assert not mixed.stands_in_for(decode(8))
    assert not decode(64).stands_in_for(mixed)


def test_large_steps_are_launched_as_they_are() -> None:
    """The host keeps up with them, and their graphs would hold much memory."""
    assert decode(64).may_be_captured
    assert not decode(64, 2048).may_be_captured
    assert not StepKind(mixed_sizes(2000, 8, 4, PLANNER), samples=True).may_be_captured
