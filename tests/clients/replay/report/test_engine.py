"""What the engine did."""

from __future__ import annotations

from clients.replay.report.engine import engine
from tests.clients.replay.runs import EN, measured, step


def test_targets_that_do_not_tell_have_no_timelines() -> None:
    """Another server's batch is not known."""
    assert engine([measured(steps=[])], EN) == []


def test_timelines_have_the_runs_that_tell() -> None:
    """Beside one that does not."""
    pictures = engine([measured("a", steps=[step(0.0), step(1.0)]), measured("b", steps=[])], EN)
    assert [picture.title for picture in pictures] == [EN["batch"], EN["queue"], EN["kv"]]
    assert all([key.name for key in picture.keys] == ["a"] for picture in pictures)


def test_the_kv_budget_is_in_percent() -> None:
    """Two of eight blocks are 25 %."""
    kv = engine([measured(steps=[step(0.0, kv_used=2), step(1.0, kv_used=2)])], EN)[2]
    assert ">25</text>" in kv.body
