"""How a step's attention is planned: together or apart, whichever costs less."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest
import torch

from engine.attention.metadata import Span
from engine.gpu.attention.measure_pieces import measure_pieces
from engine.gpu.attention.piece_costs import PieceCosts
from engine.gpu.attention.work_planner import WorkPlanner


def listeners(count: int) -> list[Span]:
    """Of one character, whose prompt is three stretches long."""
    persona = list(range(48))
    return [
        Span(800, 1, array("i", [*persona, *range(100 * n, 100 * n + 3)])) for n in range(count)
    ]


def pieces(planner: WorkPlanner, count: int) -> int:
    """As many as are planned."""
    return len(planner.plan(listeners(count))[None].small)


def test_without_costs_a_common_beginning_is_read_together() -> None:
    """As soon as there are two."""
    assert pieces(WorkPlanner([None], 8, 2), 2) == 3 + 2


def test_a_planner_that_may_not_share_does_not() -> None:
    """Whatever it would cost."""
    planner = WorkPlanner([None], 8, 2, costs=PieceCosts(1.0, 1.0, 1))
    planner.shares = False
    assert pieces(planner, 2) == 2 * 4


@pytest.mark.parametrize(("count", "together"), [(3, False), (20, True)])
def test_the_cheaper_way_is_taken(count: int, together: bool) -> None:
    """A few small tiles side by side are done sooner than one large one after another."""
    planner = WorkPlanner([None], 8, 1, costs=PieceCosts(small_s=1.0, large_s=3.0, places=16))
    assert (pieces(planner, count) < 4 * count) == together


def test_costs_are_the_shared_work_or_the_longest_program() -> None:
    """The larger of the two."""
    costs = PieceCosts(small_s=1.0, large_s=3.0, places=4)
    assert costs.seconds(40, 4) == 13.0
    assert costs.seconds(1, 1) == 3.0
    assert costs.seconds(1, 0) == 1.0
    assert costs.seconds(0, 0) == 0.0


def test_costs_are_measured_on_the_device_by_reading_one_stretch(device: torch.device) -> None:
    """Each tile's own; a memory without a whole stretch tells nothing."""
    keys, values = torch.zeros(2, 16, 16, 1, 16, device=device)
    told: list[float] = []

    def time(launch: Callable[[], object]) -> float:
        launch()
        told.append(float(len(told) + 1))
        return told[-1]

    costs = measure_pieces(keys, values, 8, torch.float32, listeners=24, time=time)
    assert costs is not None
    small, large = 1.0 / 24, 2.0 / 3
    assert costs.small_s / costs.places == pytest.approx(small)
    assert costs.large_s / costs.places == pytest.approx(large)
    assert measure_pieces(keys[:8], values[:8], 8, torch.float32) is None
