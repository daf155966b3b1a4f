"""The load client's records agree with a server that knows what it did."""

from __future__ import annotations

import pytest

from tools.replay_truth import draw_plan, main

pytestmark = pytest.mark.slow


def test_every_record_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    """Losses, repeats, cut lines and refusals; the exit code would say otherwise."""
    assert main(["--sessions", "8", "--rate", "8", "--seed", "3"]) == 0
    assert "24 replies of 24" in capsys.readouterr().out


def test_plans_hold_every_kind_of_disorder() -> None:
    """A check that draws none could not fail."""
    plans = [draw_plan(1, f"listener-{n}", turn) for n in range(60) for turn in range(3)]
    assert all(any(getattr(plan, kind) for plan in plans) for kind in ("repeats", "losses"))
    assert any(plan.drops for plan in plans)
    assert any(plan.error_code for plan in plans)
