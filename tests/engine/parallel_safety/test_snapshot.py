"""Marks that tell whether something has changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch import nn

from engine.parallel_safety.snapshot import mark, take, told
from tests.engine.parallel_safety.models import Safe


def test_nothing_changed_is_nothing_told() -> None:
    """Parameters, buffers and attributes are compared by content."""
    model = Safe()
    before = take(model)
    assert len(before.marks) > 4
    assert take(model).changed_since(before) == set()


def test_changes_are_named_by_module_and_name() -> None:
    """In place, new, gone."""
    model = Safe()
    before = take(model)
    with torch.no_grad():
        model.first.weight[0, 0] += 1
    model.drop.new = 1  # type: ignore[assignment]
    del model.last.in_features
    changed = take(model).changed_since(before)
    assert {told(place) for place in changed} == {
        "parameter weight of first",
        "attribute new of drop",
        "attribute in_features of last",
    }


@pytest.mark.parametrize(
    "value",
    [[1, [2, 3]], {"a": {"b": 1}}, SimpleNamespace(inner=SimpleNamespace(count=1)), {1, 2}],
)
def test_changes_within_are_seen(value: object) -> None:
    """Of what containers and objects hold, some levels deep."""
    held: list[object] = []
    before = mark(value, held)
    assert mark(value, held) == before
    if isinstance(value, list):
        value[1][0] = 9
    elif isinstance(value, dict):
        value["a"]["b"] = 9
    elif isinstance(value, set):
        value.add(9)
    else:
        value.inner.count = 9  # type: ignore[attr-defined]
    assert mark(value, held) != before


def test_what_a_class_holds_is_named_by_its_first_module() -> None:
    """A number or a list of the class is every instance's."""
    model = nn.Sequential(Noting(), Noting())
    before = take(model)
    model[1](torch.zeros(1))
    changed = take(model).changed_since(before)
    assert {told(place) for place in changed} == {
        "class attribute calls of 0",
        "class attribute notes of 0",
        "class attribute forward of 0",
    }


class Noting(nn.Module):
    """Writes down what comes where all of its kind do."""

    calls = 0
    notes: ClassVar[list[int]] = []

    def forward(self, given: torch.Tensor, seen: list[int] = []) -> torch.Tensor:  # noqa: B006
        type(self).calls += 1
        self.notes.append(1)
        seen.append(1)
        return given


def test_what_has_no_content_yet_is_known_by_its_identity() -> None:
    """As parameters whose shape the first input tells."""
    lazy = nn.LazyLinear(2)
    before = take(lazy)
    assert take(lazy).changed_since(before) == set()
    lazy(torch.zeros(1, 3))
    assert ("", "weight", "parameter") in take(lazy).changed_since(before)


def test_what_refers_to_itself_ends() -> None:
    """Some levels deep is enough."""
    value: list[object] = []
    value.append(value)
    assert mark(value, []) == mark(value, [])


def test_a_tensor_of_the_same_numbers_is_another_one() -> None:
    """It was written, and a thread may have read the other; no number is one of its kind too."""
    held: list[object] = []
    assert mark(torch.zeros(2), held) != mark(torch.zeros(2), held)
    assert mark(float("nan"), held) == mark(float("nan"), held)
    scalar = torch.tensor(1.0, dtype=torch.bfloat16)
    assert mark(scalar, held) == mark(scalar, held)
