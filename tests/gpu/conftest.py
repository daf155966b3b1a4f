"""Kernels run on a GPU where there is one, and in Triton's interpreter where there is none."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

collect_ignore_glob = []
if importlib.util.find_spec("triton") is None:
    collect_ignore_glob = ["test_paged_attention.py", "test_rows.py", "test_gpu_*.py"]
elif not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined


@pytest.fixture
def device() -> torch.device:
    """Where kernels run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def told_errors(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> Iterator[None]:
    """Record the largest of the errors that a test measures, for a table of all kernels.

    A module measures by a function ``error(found, expected)`` of its own.
    """
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
