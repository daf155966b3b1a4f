"""The GPU's benchmark on a model of a few thousand parameters."""

from __future__ import annotations

import pytest
import torch

from tools import gpu_bench
from tools.gpu_bench import SHAPES, Bench


@pytest.mark.slow
def test_a_shared_beginning_lowers_the_floor_and_is_read_once(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    """Every figure is measured; the floor counts shared keys once where they are read so."""
    monkeypatch.setattr(gpu_bench, "_ROUNDS", 1)
    bench = Bench(SHAPES["tiny"], 64, 2, device)
    together, apart = (bench.decode(2, 32, reads_together=flag) for flag in (True, False))
    assert together.what != apart.what
    assert min(together.step_ms, apart.step_ms, together.host_ms) > 0
    assert together.tokens_per_second == pytest.approx(2000 / together.step_ms)
    assert bench.floor_s(2, 96) < bench.floor_s(2, 128)
