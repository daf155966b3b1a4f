"""Inputs made up from what a model says of itself."""

from __future__ import annotations

from collections import UserDict
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from engine.errors import ConfigError
from engine.parallel_safety.inputs import COUNT, compute, make_inputs


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(3, 2),
        nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 2)),
        nn.Conv1d(2, 3, 3),
        nn.Conv2d(2, 3, 3),
        nn.BatchNorm1d(3).eval(),
        nn.BatchNorm2d(3).eval(),
        nn.LayerNorm(5),
        nn.GRU(3, 2, batch_first=True),
        nn.Linear(3, 2, dtype=torch.bfloat16),
    ],
)
def test_a_model_computes_its_inputs(model: nn.Module) -> None:
    """Whatever its first module is, and no two are alike."""
    inputs = make_inputs(model)
    assert len(inputs) == COUNT
    assert not torch.equal(inputs[0], inputs[1])
    for given in inputs:
        compute(model, given)


def test_a_model_that_says_nothing_is_refused_with_the_way_out() -> None:
    """Its callable may return inputs."""
    with pytest.raises(ConfigError, match="list of inputs"):
        make_inputs(nn.Sequential(nn.ReLU()))
    with pytest.raises(ConfigError, match="list of inputs"):
        make_inputs(nn.LazyLinear(2))


@pytest.mark.parametrize(
    ("main_input", "names"),
    [("input_ids", {"input_ids", "attention_mask", "decoder_input_ids"}), ("pixel_values", None)],
)
def test_models_of_transformers_get_what_they_name(main_input: str, names: set[str] | None) -> None:
    """Tokens of their vocabulary, or pictures of their size."""
    config = SimpleNamespace(is_encoder_decoder=True, image_size=16, num_channels=1)
    config.get_text_config = lambda: SimpleNamespace(vocab_size=5)
    model = nn.Linear(1, 1)
    model.config, model.main_input_name = config, main_input  # type: ignore[assignment]
    model.dtype = torch.float32  # type: ignore[assignment]
    given = make_inputs(model)[0]
    assert set(given) == (names or {"pixel_values"})
    if names is None:
        assert given["pixel_values"].shape == (1, 1, 16, 16)
    else:
        assert given["input_ids"].max() < 5


def test_another_modality_is_refused() -> None:
    """By the name of what it takes."""
    model = nn.Linear(1, 1)
    model.config, model.main_input_name = object(), "input_values"  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="input_values"):
        make_inputs(model)


def test_a_forward_gets_a_copy() -> None:
    """What it writes into its input harms nobody; tuples and dictionaries are its arguments."""

    class Spoiling(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return left.add_(right)

    left, right = torch.zeros(2), torch.ones(2)
    compute(Spoiling(), (left, right))
    compute(Spoiling(), {"left": left, "right": right})
    compute(Spoiling(), UserDict({"left": left, "right": right}))
    assert left.sum() == 0
