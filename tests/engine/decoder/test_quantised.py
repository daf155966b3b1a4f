"""Weights in fewer bits: what they stand for, and putting them together."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from engine.decoder.quantised import QuantisedWeight, quantise_per_channel

SCALES = torch.tensor([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]])


def random_weight(
    out: int,
    block: tuple[int, int],
    *,
    width: int = 10,
    bits: Literal[4, 8] = 8,
    zeros: bool = False,
    dtype: torch.dtype = torch.int8,
) -> QuantisedWeight:
    """Any payload of a format."""
    generator = torch.Generator().manual_seed(out + width)
    low, high = (0, 16) if bits == 4 else (-100, 100)
    payload = torch.randint(low, high, (out, width), generator=generator)
    blocks = -(-out // block[0]), -(-width // block[1])
    return QuantisedWeight(
        payload.to(torch.uint8) if bits == 4 else payload.float().to(dtype),
        torch.rand(blocks, generator=generator) + 0.5,
        torch.randint(0, 16, blocks, generator=generator).float() if zeros else None,
        block,
        bits,
    )


def test_blocks_may_end_in_the_middle_of_their_last_one() -> None:
    """Scales of 2 by 4 blocks over 3 by 10 numbers."""
    weight = QuantisedWeight(torch.ones(3, 10, dtype=torch.int8), SCALES, None, (2, 4), 8)
    first = [1.0] * 4 + [10.0] * 4 + [100.0] * 2
    assert weight.dequantise().tolist() == [first, first, [2 * x for x in first]]


def test_zeros_are_subtracted_before_scaling() -> None:
    """Each block has its own."""
    payload = torch.tensor([[3, 3, 5, 5]], dtype=torch.uint8)
    scales, zeros = torch.tensor([[0.5, 2.0]]), torch.tensor([[1.0, 8.0]])
    weight = QuantisedWeight(payload, scales, zeros, (1, 2), 4)
    assert weight.dequantise().tolist() == [[1.0, 1.0, -6.0, -6.0]]


def test_symmetric_four_bits_are_centred_on_eight() -> None:
    """They are stored without a sign."""
    payload = torch.tensor([[0, 8, 15]], dtype=torch.uint8)
    weight = QuantisedWeight(payload, torch.tensor([[2.0]]), None, (1, 3), 4)
    assert weight.dequantise().tolist() == [[-16.0, 0.0, 14.0]]


@pytest.mark.parametrize("block", [(1, 10), (1, 4), (3, 4), (2, 4), (5, 10)])
@pytest.mark.parametrize("bits", [4, 8])
def test_merged_parts_are_the_parts(block: tuple[int, int], bits: Literal[4, 8]) -> None:
    """Whether their blocks line up or not, and with zeros in only one of them."""
    parts = [random_weight(6, block, bits=bits), random_weight(4, block, bits=bits, zeros=True)]
    merged = QuantisedWeight.cat(parts)
    assert merged.block[1] == block[1]
    assert torch.equal(merged.dequantise(), torch.cat([part.dequantise() for part in parts]))


def test_parts_with_one_scale_each_get_one_per_channel() -> None:
    """As float8 checkpoints have them."""
    parts = [random_weight(n, (n, 10), dtype=torch.float8_e4m3fn) for n in (6, 4, 4)]
    merged = QuantisedWeight.cat(parts)
    assert (merged.block, merged.scales.shape) == ((1, 10), (14, 1))
    assert torch.equal(merged.dequantise(), torch.cat([part.dequantise() for part in parts]))


@pytest.mark.parametrize(
    "other",
    [
        random_weight(4, (1, 5)),
        random_weight(4, (1, 4), bits=4),
        random_weight(4, (1, 4), width=12),
        random_weight(4, (1, 4), dtype=torch.float8_e4m3fn),
    ],
)
def test_parts_of_different_kinds_are_refused(other: QuantisedWeight) -> None:
    """Other groups, other bits, other inputs, other numbers."""
    parts = [random_weight(4, (1, 4)), other]
    assert not QuantisedWeight.are_alike(parts)
    with pytest.raises(ValueError, match="keep them apart"):
        QuantisedWeight.cat(parts)


@pytest.mark.parametrize(("kind", "tolerance"), [("int8", 0.5 / 127), ("fp8", 16 / 448)])
def test_rounding_errs_by_half_a_level(kind: Literal["int8", "fp8"], tolerance: float) -> None:
    """As a share of a channel's largest weight, whatever its size; zeros stay zeros."""
    weight = torch.randn(40, 96, generator=torch.Generator().manual_seed(1))
    weight *= torch.logspace(-4, 3, 40)[:, None]
    weight[7] = 0.0
    found = quantise_per_channel(weight, kind)
    assert found.block == (1, 96)
    largest = weight.abs().amax(dim=1, keepdim=True)
    error = (found.dequantise() - weight).abs()
    assert bool((error <= 1.001 * tolerance * largest).all())
    assert torch.equal(found.dequantise()[7], weight[7])


def test_a_weight_moves_as_a_whole() -> None:
    """Payload, scales and zeros; ``meta`` is a device that is everywhere."""
    moved = random_weight(4, (1, 4), bits=4, zeros=True).to(torch.device("meta"))
    assert moved.zeros is not None
    assert {t.device.type for t in (moved.payload, moved.scales, moved.zeros)} == {"meta"}
