"""Reading personas together, apart, or as the engine chooses."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tools.gpu.persona import READINGS, Reading, personas_read
from tools.gpu.results import NotHere


@dataclass
class Planner:
    """As the engine's; ``costs`` choose."""

    shares: bool = True
    costs: object = "costs"


@dataclass
class Runner:
    """As the engine's on a GPU."""

    planner: Planner = field(default_factory=Planner)


@pytest.mark.parametrize(
    ("reading", "shares", "chooses"),
    [("apart", False, False), ("together", True, False), ("chosen", True, True)],
)
def test_a_reading_holds_while_it_is_measured(
    reading: Reading, shares: bool, chooses: bool
) -> None:
    """Afterwards it is as it was."""
    runner = Runner()
    with personas_read(runner, reading):
        assert (runner.planner.shares, runner.planner.costs is not None) == (shares, chooses)
    assert runner == Runner()


def test_what_does_not_choose_cannot_be_measured_choosing() -> None:
    """The two other readings can."""
    runner = Runner(Planner(costs=None))
    with pytest.raises(NotHere, match="nothing is chosen"), personas_read(runner, "chosen"):
        pass
    with personas_read(runner, "together"):
        pass


def test_what_reads_nothing_together_is_passed_over() -> None:
    """As on a CPU."""
    for reading in READINGS:
        with pytest.raises(NotHere, match="does not read"), personas_read(object(), reading):
            pass
