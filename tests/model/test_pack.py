"""How weights lie in memory."""

from __future__ import annotations

import torch

from engine.decoder.pack import halved, pack, quantize


def test_outputs_lie_side_by_side_in_tiles_of_64() -> None:
    """Word k of output n is at [n // 64, k, n % 64]; the rest of the last tile is zero."""
    weight = torch.arange(70 * 8, dtype=torch.float32).view(70, 8).to(torch.bfloat16)
    packed = pack(weight)
    assert packed.shape == (2, 4, 64)
    words = weight.view(torch.int32)
    for n, k in ((0, 0), (63, 3), (64, 1), (69, 2)):
        assert packed[n // 64, k, n % 64] == words[n, k]
    assert not packed[1, :, 6:].any()


def test_quantised_weights_are_within_half_a_level() -> None:
    """Per output channel, whatever its size; a channel of zeros stays one."""
    weight = torch.randn(40, 96, generator=torch.Generator().manual_seed(1))
    weight *= torch.logspace(-4, 3, 40)[:, None]
    weight[7] = 0.0
    levels, scale, offset = quantize(weight)
    assert levels.dtype == torch.int8
    assert int(levels.abs().amax()) == 127
    error = (levels.float() * scale[:, None] - weight).abs()
    assert bool((error <= 0.501 * scale[:, None]).all())
    assert torch.equal(offset, 128 * levels.int().sum(dim=1, dtype=torch.int32))
    assert not levels[7].any()


def test_numbers_that_fit_16_bits_take_no_more() -> None:
    """A weight of which a single number does not fit stays whole."""
    weight = torch.randn(8, 16, generator=torch.Generator().manual_seed(1)).bfloat16().float()
    assert halved(weight).dtype == torch.bfloat16
    assert torch.equal(halved(weight).float(), weight)
    weight[3, 5] += 1e-6
    assert halved(weight) is weight
