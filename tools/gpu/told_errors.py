"""A plugin of pytest's: record how far each test of kernels was from float64.

A module of such tests measures by a function ``error(found, expected)``, its own or imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from torch import Tensor


@pytest.fixture(autouse=True)
def told_errors(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> Iterator[None]:
    """Record the largest of the errors that a test measures, for a table of all kernels."""
    measure: Callable[[Tensor, Tensor], float] | None = getattr(request.module, "error", None)
    if measure is None:
        yield
        return
    told: list[float] = []

    def noted(found: Tensor, expected: Tensor) -> float:
        told.append(measure(found, expected))
        return told[-1]

    monkeypatch.setattr(request.module, "error", noted)
    yield
    if told:
        record_property("error", max(told))
