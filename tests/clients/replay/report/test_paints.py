"""Colours of runs."""

from __future__ import annotations

from clients.replay.report.paints import Paint, paints
from tests.clients.replay.runs import measured


def test_runs_of_one_target_have_their_own_colours() -> None:
    """The ninth has the first one's, paler."""
    drawn = paints([measured(str(number)) for number in range(9)])
    assert drawn[:2] == [Paint(0, 0), Paint(1, 0)]
    assert drawn[8] == Paint(0, 1)


def test_runs_of_several_targets_have_their_targets_colour() -> None:
    """From run to run of a target paler, in whatever order they come."""
    runs = [measured(str(n), target=target) for n, target in enumerate(["a", "b", "a", "b"])]
    assert paints(runs) == [Paint(0, 0), Paint(1, 0), Paint(0, 1), Paint(1, 1)]
