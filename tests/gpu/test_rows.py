"""Norms, gates, rotary positions and the writing of keys and values, against float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.decoder.spec import Activation
from engine.gpu.rows import gate_rows, norm_rows, place
from tests.gpu.closeness import error

EPSILON = 1e-6


def poisoned(*shape: int, device: torch.device) -> Tensor:
    """An output of which every number must be written."""
    return torch.full(shape, float("nan"), device=device)


def normed(x: Tensor, weight: Tensor) -> Tensor:
    """Root mean square norm over the last axis."""
    return x / (x.square().mean(dim=-1, keepdim=True) + EPSILON).sqrt() * weight.double()


@pytest.mark.parametrize("has_before", [True, False])
@pytest.mark.parametrize("width", [48, 96])
def test_adding_and_norming_in_one_pass(width: int, has_before: bool, device: torch.device) -> None:
    """The stream is updated, and what comes out is its norm."""
    torch.manual_seed(width)
    residual, delta = torch.randn(2, 3, width, device=device)
    before, weight = torch.randn(2, width, device=device)
    added = normed(delta.double(), before) if has_before else delta.double()
    stream = residual.double() + 0.5 * added
    out = poisoned(3, width, device=device)
    norm_rows(
        residual,
        weight,
        out,
        epsilon=EPSILON,
        delta=delta,
        before=before if has_before else None,
        scale=0.5,
    )
    assert error(residual, stream) < 1e-6
    assert error(out, normed(stream, weight)) < 1e-6


def test_a_block_without_a_norm_gets_the_stream_itself(device: torch.device) -> None:
    """And the stream stays as it was, with nothing to add."""
    residual = torch.randn(2, 40, device=device)
    before = residual.clone()
    out = poisoned(2, 40, device=device)
    norm_rows(residual, None, out, epsilon=EPSILON)
    assert torch.equal(out, before)
    assert torch.equal(residual, before)


@pytest.mark.parametrize("activation", ["silu", "gelu_tanh", "gelu"])
def test_gates_open_their_units(activation: Activation, device: torch.device) -> None:
    """More than one program's columns."""
    torch.manual_seed(1)
    stacked = torch.randn(2, 2 * 1100, device=device)
    out = poisoned(2, 1100, device=device)
    gate_rows(stacked, out, activation)
    gates, ups = stacked.double().chunk(2, dim=-1)
    functions = {
        "silu": functional.silu,
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "gelu": functional.gelu,
    }
    assert error(out, functions[activation](gates) * ups) < 1e-6


@pytest.mark.parametrize("norms", ["none", "each head", "all heads"])
@pytest.mark.parametrize("rotary_dim", [0, 16, 24])
def test_heads_are_normed_and_turned_and_go_where_they_belong(
    rotary_dim: int, norms: str, device: torch.device
) -> None:
    """Queries to their buffer, keys and values to their slots, and nothing anywhere else."""
    torch.manual_seed(rotary_dim)
    heads, kv_heads, dim = 4, 2, 24
    positions = torch.tensor([0, 5, 9, 30, 31], dtype=torch.int32, device=device)
    slots = torch.tensor([17, 40, 3, 99, 127], dtype=torch.int32, device=device)
    qkv = torch.randn(5, (heads + 2 * kv_heads) * dim, device=device)
    query = poisoned(5, heads, dim, device=device)
    keys, values = torch.zeros(2, 8, 16, kv_heads, dim, device=device)
    angles = torch.randn(64, rotary_dim // 2, device=device)
    rotary = torch.cat([angles.cos(), angles.sin()], dim=1) if rotary_dim else None
    spans = norms == "all heads"
    weights = [
        None if norms == "none" else torch.randn(n * dim if spans else dim, device=device)
        for n in (heads, kv_heads)
    ]
    place(
        qkv,
        query,
        keys,
        values,
        positions,
        slots,
        rotary=rotary,
        query_norm=weights[0],
        key_norm=weights[1],
        epsilon=EPSILON,
    )

    def expected(x: Tensor, weight: Tensor | None) -> Tensor:
        if weight is not None:
            x = normed(x.flatten(1), weight).view(x.shape) if spans else normed(x, weight)
        if rotary is None:
            return x
        cosine, sine = rotary[positions.long()].double()[:, None].chunk(2, dim=-1)
        (first, second), rest = x[..., :rotary_dim].chunk(2, dim=-1), x[..., rotary_dim:]
        turned = [first * cosine - second * sine, second * cosine + first * sine]
        return torch.cat([*turned, rest], dim=-1)

    whole = qkv.double().view(5, -1, dim)
    parts = whole[:, :heads], whole[:, heads : heads + kv_heads], whole[:, heads + kv_heads :]
    assert error(query, expected(parts[0], weights[0])) < 1e-6
    written = slots.long()
    assert error(keys.flatten(0, 1)[written], expected(parts[1], weights[1])) < 1e-6
    assert error(values.flatten(0, 1)[written], parts[2]) < 1e-6
    others = torch.ones(8 * 16, dtype=torch.bool).index_fill_(0, written.cpu(), False)
    assert not keys.flatten(0, 1)[others].any()
    assert not values.flatten(0, 1)[others].any()
