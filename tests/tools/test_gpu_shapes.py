"""What models of published shapes weigh, and what their steps take at least."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tools.bench.machine import Limits, ModelShape
from tools.gpu.options import Options
from tools.gpu.shapes import SHAPES, Shape, Widths, checkpoint, serial_floor_s, shapes, smallest

H200 = {kind: Limits(4.3e12, flops) for kind, flops in (("bf16", 790e12), ("fp8", 1.4e15))}
FP8 = Widths(linears=1.0, kv=1.0, products="fp8")


def shape_of(shape: Shape) -> ModelShape:
    """What its checkpoint would say."""
    build: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        model = build(AutoConfig.for_model(shape.model_type, **shape.settings))
    of = shape.settings
    head = of["vocab_size"] * of["hidden_size"]
    total = sum(p.numel() for p in model.parameters())
    kv = 4 * of["num_hidden_layers"] * of["num_key_value_heads"] * of["head_dim"]
    return ModelShape(total - head * (1 if of["tie_word_embeddings"] else 2), head, 2.0, kv)


@pytest.mark.parametrize(
    ("name", "widths", "streams", "floor_ms"),
    [
        ("Qwen3-0.6B", Widths(), 1, 0.305),
        ("Qwen3-0.6B", Widths(), 64, 2.03),
        ("Qwen3-0.6B", FP8, 64, 1.05),
        ("Llama-3.2-1B", Widths(), 256, 2.80),
        ("Llama-3.1-8B", Widths(), 64, 5.49),
        ("Llama-3.1-8B", Widths(linears=1.0, products="fp8"), 1, 1.90),
        ("Llama-3.1-8B", FP8, 128, 3.87),
    ],
)
def test_floors_are_those_that_were_worked_out_by_hand(
    name: str, widths: Widths, streams: int, floor_ms: float
) -> None:
    """For an H200 at 4.3 TB/s and 790 TFLOP/s, contexts of 1,024 tokens."""
    found = serial_floor_s(shape_of(SHAPES[name]), widths, H200, streams, streams * 1024)
    assert 1e3 * found == pytest.approx(floor_ms, rel=0.01)


def test_the_smallest_comes_first(tmp_path: Path) -> None:
    """A run that is cut short has the cheap ones."""
    weights = [shape_of(shape).body_parameters for shape in shapes(Options(scratch=str(tmp_path)))]
    assert weights == sorted(weights)


@pytest.mark.slow
def test_a_checkpoint_is_written_once(tmp_path: Path) -> None:
    """And says what its shape is."""
    options = Options(scratch=str(tmp_path), tiny=True)
    folder = checkpoint(smallest(options), options)
    before = (folder / "config.json").stat().st_mtime_ns
    assert ModelShape.of(folder) == shape_of(smallest(options))
    assert checkpoint(smallest(options), options) == folder
    assert (folder / "config.json").stat().st_mtime_ns == before
