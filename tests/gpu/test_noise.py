"""The generator against the paper's, and what is made of its numbers against float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.gpu.sampling.noise import coin, exponential, noise_block, noise_of
from tests.gpu.sampling_reference import coin as expected_coin
from tests.gpu.sampling_reference import noise, philox

SEEDS = [0, 1, -1, 2**63 - 1, -(2**63), 0x0123456789ABCDEF]


@triton.jit
def write_noise(seeds, positions, tokens, numbers, times, COUNT: tl.constexpr):
    """Numbers and noise of some tokens at some places."""
    at = tl.arange(0, COUNT)
    seed = tl.load(seeds)
    found = noise_of(seed, tl.load(positions + at), tl.load(tokens + at))
    tl.store(numbers + at, found.to(tl.int32, bitcast=True))
    tl.store(times + at, exponential(found))


@triton.jit
def write_block(seeds, position, numbers, coins):
    """The four numbers of blocks 0 to 7, and a coin."""
    seed = tl.load(seeds)
    block = tl.arange(0, 8)
    found = noise_block(seed, position, block)
    for part in tl.static_range(4):
        tl.store(numbers + part * 8 + block, found[part].to(tl.int32, bitcast=True))
    tl.store(coins, coin(seed, position))


@triton.jit
def write_exponential(numbers, times, COUNT: tl.constexpr):
    """Noise of given numbers."""
    at = tl.arange(0, COUNT)
    found = exponential(tl.load(numbers + at).to(tl.uint32, bitcast=True))
    tl.store(times + at, found)


def noise_on(device: torch.device, seed: int, positions: Tensor, tokens: Tensor) -> Tensor:
    """Noise by the kernel, float32."""
    times = torch.full_like(tokens, float("nan"), dtype=torch.float32, device=device)
    numbers = torch.zeros_like(tokens, device=device)
    write_noise[1,](
        torch.tensor([seed], device=device),
        positions.to(device),
        tokens.to(device),
        numbers,
        times,
        COUNT=len(tokens),
    )
    return times.cpu()


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_are_those_of_philox(seed: int, device: torch.device) -> None:
    """All four of a block, and XTC's coin, for any 64-bit seed."""
    numbers = torch.zeros(4, 8, dtype=torch.int32, device=device)
    coins = torch.full([1], float("nan"), device=device)
    write_block[1,](torch.tensor([seed], device=device), 77, numbers, coins)
    expected = philox(seed, np.arange(8), 77, 0)
    assert (numbers.cpu().numpy().view(np.uint32) == np.stack(expected)).all()
    assert float(coins) == expected_coin(seed, 77)


def test_a_token_has_its_noise_wherever_it_is_asked_for(device: torch.device) -> None:
    """By position and token, in any order."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, 200_000, (1024,), generator=generator, dtype=torch.int32)
    positions = torch.randint(0, 9000, (1024,), generator=generator, dtype=torch.int32)
    found = noise_on(device, 5, positions, tokens).double().numpy()
    expected = noise(5, positions.numpy(), tokens.numpy().astype(np.int64))
    assert np.abs(found / expected - 1).max() < 1e-6


def test_noise_is_precise_at_both_ends(device: torch.device) -> None:
    """Relative to float64, never 0, never infinite; the winners come from the small ones."""
    near = [0, 1, 2, 100, 2**20, 2**28 - 1, 2**28, 2**31]
    numbers = np.array(near + [2**32 - 1 - n for n in near], dtype=np.uint32)
    given = torch.tensor(numbers.view(np.int32), device=device)
    times = torch.full([16], float("nan"), device=device)
    write_exponential[1,](given, times, COUNT=16)
    expected = -np.log1p(-(numbers.astype(np.float64) + 0.5) * 2.0**-32)
    assert np.abs(times.cpu().numpy() / expected - 1).max() < 5e-7


def test_noise_is_exponential_and_uncorrelated(device: torch.device) -> None:
    """Mean, variance, quantiles; other tokens, places and seeds have nothing to do with it."""
    count = 8192
    tokens = torch.arange(count, dtype=torch.int32)
    here = torch.zeros_like(tokens)
    x = noise_on(device, 9, here, tokens).double()
    assert abs(float(x.mean()) - 1) < 0.05
    assert abs(float(x.var()) - 1) < 0.15
    for share in (0.01, 0.5, 0.99):
        expected = -np.log1p(-share)
        spread = (share / (1 - share) / count) ** 0.5
        assert abs(float(x.quantile(share)) - expected) < 4 * spread
    places = noise_on(device, 9, tokens, here).double()
    others = [x.roll(1), x.roll(256), noise_on(device, 9, here + 1, tokens).double()]
    others += [noise_on(device, 10, here, tokens).double(), places]
    for other in others:
        assert abs(float(torch.corrcoef(torch.stack([x, other]))[0, 1])) < 4 / count**0.5


def test_races_are_won_as_often_as_tokens_are_likely(device: torch.device) -> None:
    """A chi-square test of six tokens at thousands of places, at four deviations."""
    count = 4096
    likely = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.04, 0.01], dtype=torch.float64)
    places = torch.arange(count, dtype=torch.int32)
    for seed in (1, 2):
        times = [noise_on(device, seed, places, places * 0 + token) for token in range(6)]
        winners = (likely / torch.stack(times, dim=1).double()).argmax(dim=1)
        found = torch.bincount(winners, minlength=6)
        chi = float(((found - count * likely) ** 2 / (count * likely)).sum())
        assert chi < 5 + 4 * 10**0.5
