"""Layers that are merged into one hand their weights over, whole or in fewer bits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.decoder.quantised import Kind, QuantisedWeight, quantise_per_channel
from engine.decoder.spec import MergedLinear


def linear(out: int, kind: Kind | None = None, *, bias: bool = False) -> nn.Linear:
    """A layer over six inputs; in eight bits too if a kind is given."""
    layer: nn.Linear = nn.Linear(6, out, bias=bias)
    if kind is not None:
        quantised = quantise_per_channel(layer.weight.detach(), kind)
        layer.quantised = quantised  # type: ignore[assignment]
        layer.weight.data = quantised.dequantise()
    return layer


def dense(layers: list[nn.Linear]) -> Tensor:
    """Their weights, one below the other."""
    return torch.cat([layer.weight.detach() for layer in layers])


def test_layers_that_are_quantised_alike_stay_so() -> None:
    """The merged payload stands for the same numbers."""
    layers = [linear(4, "int8"), linear(2, "int8")]
    expected = dense(layers)
    weight, bias = MergedLinear(layers).take()
    assert isinstance(weight, QuantisedWeight)
    assert bias is None
    assert torch.equal(weight.dequantise(), expected)


def test_layers_of_different_kinds_are_taken_whole() -> None:
    """One of other numbers, or one that is not quantised at all."""
    for other in (linear(2, "fp8"), linear(2)):
        layers = [linear(4, "int8"), other]
        expected = dense(layers)
        weight, _ = MergedLinear(layers).take()
        assert isinstance(weight, Tensor)
        assert torch.equal(weight, expected)


def test_whole_weights_may_be_asked_for() -> None:
    """By who multiplies nothing else."""
    layers = [linear(4, "int8")]
    expected = dense(layers)
    assert torch.equal(MergedLinear(layers).take_dense()[0], expected)


def test_a_layer_without_a_bias_adds_zeros() -> None:
    """Where another has one."""
    layers = [linear(2, bias=True), linear(3)]
    _, bias = MergedLinear(layers).take()
    assert bias is not None
    assert bias.tolist() == [*layers[0].bias.tolist(), 0.0, 0.0, 0.0]


def test_nothing_is_left_behind() -> None:
    """The layers give up their weights in either form."""
    layer = linear(4, "int8")
    MergedLinear([layer]).take()
    assert layer.weight.numel() == 0
    assert layer.quantised is None
