"""Kernels run on a GPU where there is one, and in Triton's interpreter where there is none."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest
import torch

collect_ignore_glob = []
if importlib.util.find_spec("triton") is None:
    kernels = ["test_paged_attention.py", "test_rows.py", "test_gpu_*.py"]
    collect_ignore_glob = [*kernels, "test_noise.py", "test_penalties.py", "test_sample.py"]
elif not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Memory that nobody has written holds what is not a number, or the largest integer."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # torch fills what it allocates then
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture
def device() -> torch.device:
    """Where kernels run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
