"""What forwards change."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from engine.parallel_safety.changes import check_changes
from engine.parallel_safety.findings import Finding
from engine.parallel_safety.inputs import compute
from tests.engine.parallel_safety.models import Counting, Lazy, Racing, Running, Safe, Tidy

INPUTS = [torch.ones(2, 4), torch.zeros(3, 4)]


def found(model: nn.Module) -> list[Finding]:
    """Of a model in eval mode."""
    return check_changes(model.eval(), partial(compute, model), INPUTS)


def test_a_model_that_keeps_nothing_passes() -> None:
    """And how much was compared is told."""
    (finding,) = found(Safe())
    assert finding.verdict == "pass"
    assert "3 forwards changed none of" in finding.detail


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (Counting(), "attribute calls of the model"),
        (Running(), "buffer mean of statistics"),
        (Racing(), "attribute desk of the model"),
        (Tidy(), "attribute scratch of the model"),
    ],
)
def test_what_every_forward_changes_is_named(model: nn.Module, place: str) -> None:
    """Also inside a plain object, and what is put back before the forward ends."""
    (finding,) = found(model)
    assert (finding.verdict, finding.detail) == ("fail", f"every forward changes {place}")
    assert "lock" in finding.way_out
    assert "model_pool" in finding.way_out


def test_batch_norm_in_training_changes_its_statistics() -> None:
    """All three of them."""
    model = nn.Sequential(nn.BatchNorm1d(4))
    findings = check_changes(model, partial(compute, model), INPUTS)
    names = {finding.detail.split()[4] for finding in findings}
    assert names == {"running_mean", "running_var", "num_batches_tracked"}


def test_a_table_filled_at_first_is_a_warning() -> None:
    """Its way out is another one."""
    (finding,) = found(Lazy())
    assert (finding.verdict, finding.detail) == (
        "warn",
        "the first forward changes attribute table of the model",
    )
    assert "before threads begin" in finding.way_out


def test_torch_is_left_as_it_was() -> None:
    """Also when the forward raises."""
    before = nn.Module.__setattr__
    model = Safe()
    with pytest.raises(RuntimeError):
        check_changes(model, partial(compute, model), [torch.zeros(1, 9)] * 2)
    assert nn.Module.__setattr__ is before
