"""What is left in training mode."""

from __future__ import annotations

from torch import nn

from engine.parallel_safety.modes import check_modes
from tests.engine.parallel_safety.models import Safe


def test_eval_mode_passes() -> None:
    """All of it."""
    assert [finding.verdict for finding in check_modes(Safe().eval())] == ["pass"]


def test_dropout_and_batch_norm_are_named_by_their_path() -> None:
    """With what they do, and what to do."""
    model = nn.Sequential(Safe(), nn.BatchNorm1d(2)).eval()
    model.get_submodule("0.drop").train()
    model[1].train()
    whole, dropout, norm = check_modes(model)
    assert "2 of 6 modules" in whole.detail
    assert dropout.detail == "0.drop: dropout (p = 0.5) in training mode"
    assert norm.detail.startswith("1: BatchNorm1d")
    assert all("model.eval()" in finding.way_out for finding in (whole, dropout, norm))


def test_dropout_of_nothing_is_not_named() -> None:
    """It changes nothing; the mode is told all the same."""
    assert len(check_modes(nn.Sequential(nn.Dropout(0.0)))) == 1
