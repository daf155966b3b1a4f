"""Random numbers on the device: a function of where they are used, with no state to keep.

The generator is Philox4x32 (Salmon, Moraes, Dror, Shaw 2011) with 7 rounds, the fewest that passed
all of BigCrush there. Its key is the request's seed, its counter is ``(block, output tokens so far,
stream, 0)``, and each block gives four numbers, to four tokens that lie `LANES` apart: a token has
the same noise in every kernel, and no number changes its lane to get there. So a seeded reply
depends neither on batch-mates nor on what was drawn before, as `engine.model.noise` has it for a
CPU; the numbers are others.

A token is drawn by a race: each gets a time ``noise / weight``, its noise being exponential, and
the first one wins. That is the Gumbel-max trick (Gumbel 1954) without its logarithm: the winner is
the token with the largest ``logit / temperature + g``, where ``g = -log(noise)`` is Gumbel noise.
Since noise belongs to the token, leaving tokens out by a filter leaves the race of the others as it
was.
"""

from __future__ import annotations

import triton
import triton.language as tl

LANES = tl.constexpr(256)
"""How far apart the tokens of a block lie."""
PARTS = tl.constexpr(4)
"""Numbers, and tokens, of a block."""
GROUP = tl.constexpr(4 * 256)
"""Tokens of as many blocks as there are lanes."""
_ROUNDS = tl.constexpr(7)
_DRAW = tl.constexpr(0)
_COIN = tl.constexpr(1)
_UNIT = tl.constexpr(2.0**-32)
_HALF_A_UNIT = tl.constexpr(2.0**-33)
_COIN_UNIT = tl.constexpr(2.0**-24)


@triton.jit
def noise_block(seed, position, block):
    """Return the four numbers of each block, uint32.

    Block ``n`` belongs to the tokens ``n // LANES * GROUP + n % LANES + LANES * i``.
    """
    return tl.philox(seed, block, position, _DRAW, 0, n_rounds=_ROUNDS)


@triton.jit
def noise_of(seed, position, token):
    """Return the number of each token, wherever it lies."""
    a, b, c, d = noise_block(seed, position, token // GROUP * LANES + token % LANES)
    place = token % GROUP // LANES
    return tl.where(place < 2, tl.where(place == 0, a, b), tl.where(place == 2, c, d))


@triton.jit
def exponential(number):
    """Turn numbers into exponential noise of mean 1, precise at both ends and never 0."""
    share = number.to(tl.float32) * _UNIT + _HALF_A_UNIT
    rest = (~number).to(tl.float32) * _UNIT + _HALF_A_UNIT  # 1 - share
    # -log(rest), by its series where the rest no longer tells small shares apart
    series = 1.0 / 5.0 + share * (1.0 / 6.0)
    series = 1.0 / 3.0 + share * (0.25 + share * series)
    series = share * (1.0 + share * (0.5 + share * series))
    return tl.where(share < 0.0625, series, -tl.log(rest))


@triton.jit
def coin(seed, position):
    """Return one number in [0, 1) for XTC."""
    number, _, _, _ = tl.philox(seed, position * 0, position, _COIN, 0, n_rounds=_ROUNDS)
    return (number >> 8).to(tl.float32) * _COIN_UNIT


@triton.jit
def weigh(scores, top, sharpness):
    """Return ``exp((scores - top) * sharpness)``; a score of minus infinity weighs nothing."""
    return tl.exp((scores - tl.where(top == float("-inf"), 0.0, top)) * sharpness)
