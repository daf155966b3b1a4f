"""Linear layers laid out for the processor: the same bits, and no second copy of anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.config import ModelConfig
from engine.model import loader, prepacked
from engine.model.checkpoint import read_weights
from engine.model.loader import load_model
from engine.model.prepacked import PrepackedLinear, can_prepack, prepack_linears
from tests.support.tiny_models import make_model, save_model

needs_layout = pytest.mark.skipif(not can_prepack(), reason="no oneDNN products in bfloat16 here")


@needs_layout
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 16, 70])
@torch.inference_mode()
def test_products_are_those_of_the_plain_layer(rows: int, bias: bool) -> None:
    """Whatever the number of rows, and in a batch of batches too."""
    torch.manual_seed(rows)
    linear = nn.Linear(96, 160, bias=bias, dtype=torch.bfloat16)
    x = torch.randn(1, rows, 96, dtype=torch.bfloat16)
    expected = functional.linear(x, linear.weight, linear.bias)
    assert torch.allclose(PrepackedLinear(linear)(x), expected, rtol=1e-2, atol=1e-2)


@needs_layout
@torch.inference_mode()
def test_a_row_does_not_notice_its_batch_mates() -> None:
    """Bit for bit."""
    torch.manual_seed(1)
    linear = PrepackedLinear(nn.Linear(96, 160, dtype=torch.bfloat16))
    x = torch.randn(33, 96, dtype=torch.bfloat16)
    together = linear(x)
    for count in (1, 2, 7, 16):
        assert torch.equal(linear(x[:count]), together[:count])


@needs_layout
def test_every_layer_is_laid_out_but_those_whose_weight_has_another_use() -> None:
    """An embedding that is also the output projection is held once."""
    model = make_model("llama").to(torch.bfloat16)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    num_linears = sum(type(m) is nn.Linear for m in model.modules())
    assert prepack_linears(model) == num_linears - tied
    assert sum(type(m) is nn.Linear for m in model.modules()) == tied


def test_a_processor_without_these_products_keeps_plain_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rather than failing at the first one."""
    monkeypatch.setattr(prepacked, "can_prepack", lambda: False)
    assert prepack_linears(make_model("llama").to(torch.bfloat16)) == 0


def test_float32_is_left_alone() -> None:
    """There a row's result would depend on its batch-mates otherwise than it does now."""
    assert prepack_linears(make_model("llama")) == 0


class _Curious(nn.Module):
    """A projection's owner that looks at its weight."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        """Read what a packed layer does not have."""
        return self.inner(x) + 0 * self.inner.gate_proj.weight.sum()


@needs_layout
def test_a_model_that_reads_its_layers_weights_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is read once more, and serves with plain layers."""

    def curiously(*args: Any) -> Any:
        model = read_weights(*args)
        for layer in model.base_model.layers:
            layer.mlp = _Curious(layer.mlp)
        return model

    monkeypatch.setattr(loader, "read_weights", curiously)
    save_model(make_model("llama"), tmp_path)
    config = ModelConfig(model=str(tmp_path), device="cpu", dtype="bfloat16")
    with caplog.at_level("INFO"):
        loaded = load_model(config)
    assert loaded.forward == "transformers"
    assert "linear layers stay as they are" in caplog.text
