"""Kernels run on a GPU where there is one, and in Triton's interpreter where there is none."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

collect_ignore_glob = []
if importlib.util.find_spec("triton") is None:
    collect_ignore_glob = ["test_*.py"]
elif not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined


@pytest.fixture
def device() -> torch.device:
    """Where kernels run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def sums_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter add up a row's products alike wherever in a tile it lies.

    A matrix unit does; the interpreter's library rounds the last rows of a tile in its own way.
    """
    if torch.cuda.is_available():
        return
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    def dot(_: Any, a: Any, b: Any, total: Any, *how: Any) -> Any:
        return TensorHandle(np.einsum("ik,kj->ij", a.data, b.data) + total.data, total.dtype.scalar)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", dot)


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Memory that nobody has written holds what is not a number, or the largest integer."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # torch fills what it allocates then
    yield
    torch.use_deterministic_algorithms(before)
