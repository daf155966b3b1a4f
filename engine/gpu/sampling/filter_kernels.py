"""Draws where tokens are left out: top-k, top-p of what that left, min-p, then XTC.

Every filter keeps the scores from some value up, and XTC takes away those above another: what is
drawn from is a range of scores. Tokens with a score at a bound all stay. A bound is narrowed down:
the range in which it lies is cut into eight, the tokens above each cut are counted or weighed, and
the search goes on in the piece where the target is passed, until that holds one distinct score.

Mass is counted in whole units, of which the likeliest token has 2**40, so a sum does not depend on
the order in which candidates were listed. A list that is too long is not used: then the row itself
is walked through, which is slow and rare.
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.sampling.candidate_kernels import CAPACITY
from engine.gpu.sampling.noise import exponential, noise_of, weigh
from engine.gpu.sampling.slot_kernels import filters_of, is_in, load_scores, seed_of, sharpness_of
from engine.gpu.sampling.survey_kernels import NO_TOKEN

_TILE = tl.constexpr(1024)
_CUTS = tl.constexpr(8)
_MOST_ROUNDS = tl.constexpr(64)
"""Only scores that differ from zero by less than a normal float are not told apart so soon."""
_ALL_MASS = tl.constexpr(2.0**40)


@triton.jit
def draw_filtered(
    row_of_scores,  # as `load_scores` takes it
    slot,
    position,
    numbers,  # [slots, len(NUMBERS)] float32
    integers,  # [slots, len(INTEGERS)] int32
    ends,  # [slots, words] int32
    words,
    top,  # the row's largest score
    cutoffs,  # [sequences] float32
    totals,  # [sequences] float32
    sizes,  # [sequences] int32
    listed_scores,  # [sequences, CAPACITY] float32
    listed_tokens,  # [sequences, CAPACITY] int32
    CHANGES: tl.constexpr,
):
    """Race a row's candidates; return the winner's weight over its noise, and who that is."""
    sharpness = sharpness_of(numbers, slot)
    limited, top_k, top_p, min_p, xtc = filters_of(numbers, integers, slot, position)
    _, _, _, sequence, _, _, vocab = row_of_scores
    low = tl.load(cutoffs + sequence)
    mass = _in_units(tl.load(totals + sequence).to(tl.float64))
    size = tl.load(sizes + sequence)
    is_listed = size <= CAPACITY
    size = tl.where(is_listed, size, vocab)
    source = (row_of_scores, listed_scores, listed_tokens, is_listed, size)
    scale = (top, sharpness)
    if top_k > 0:
        low = _lower_bound(source, scale, low, top_k.to(tl.int64), False, CHANGES)
        if top_p < 1.0:
            mass = _mass_kept(source, scale, low, 0.0, CHANGES)
    if top_p < 1.0:
        target = (mass.to(tl.float64) * top_p.to(tl.float64)).to(tl.int64)
        low = _lower_bound(source, scale, low, target, True, CHANGES)
    high = top
    if xtc >= 0:
        if limited:
            mass = _mass_kept(source, scale, low, min_p, CHANGES)
        least = (mass.to(tl.float64) * xtc.to(tl.float64) / _ALL_MASS).to(tl.float32)
        least = tl.maximum(least, min_p)
        high = _exclude_top_choices(source, scale, low, least, ends, slot, words, CHANGES)
    seed = seed_of(integers, slot)
    return _race(source, scale, low, high, min_p, seed, position, CHANGES)


@triton.jit
def _in_units(mass):
    return (mass * _ALL_MASS).to(tl.int64)


@triton.jit
def _candidates(source, first, CHANGES: tl.constexpr):
    """Return the scores and tokens of a tile of candidates; a score of -inf beyond the last."""
    row_of_scores, listed_scores, listed_tokens, is_listed, size = source
    at = first + tl.arange(0, _TILE)
    if is_listed:
        place = row_of_scores[3].to(tl.int64) * CAPACITY + at
        scores = tl.load(listed_scores + place, mask=at < size, other=float("-inf"))
        token = tl.load(listed_tokens + place, mask=at < size, other=0)
    else:
        scores = load_scores(row_of_scores, at, CHANGES)
        token = at
    return scores, token


@triton.jit
def _lower_bound(source, scale, low, target, BY_MASS: tl.constexpr, CHANGES: tl.constexpr):
    """Raise a bound as far as the candidates from there up still reach a number, or a mass."""
    top, sharpness = scale
    high = top
    cut = tl.arange(0, _CUTS)
    rounds = 0
    is_open = low < high
    while is_open:
        cuts = low + (high - low) * ((cut + 1).to(tl.float32) / _CUTS)
        cuts = tl.where(cut == _CUTS - 1, high, cuts)
        reached = tl.zeros([_CUTS], tl.int64)
        smallest = float("inf")
        largest = float("-inf")
        for first in range(0, source[4], _TILE):
            x, _ = _candidates(source, first, CHANGES)
            amount = tl.full([_TILE], 1, tl.int64)
            if BY_MASS:
                amount = _in_units(weigh(x, top, sharpness))
            reached += tl.sum(tl.where(x[:, None] >= cuts[None, :], amount[:, None], 0), axis=0)
            is_inside = (x >= low) & (x <= high)
            smallest = tl.minimum(smallest, tl.min(tl.where(is_inside, x, float("inf")), axis=0))
            largest = tl.maximum(largest, tl.max(tl.where(is_inside, x, float("-inf")), axis=0))
        is_reached = reached >= target
        low = tl.maximum(low, tl.max(tl.where(is_reached, cuts, float("-inf")), axis=0))
        high = tl.min(tl.where(is_reached, high, cuts), axis=0)
        rounds += 1
        is_open = (low < high) & (smallest < largest) & (rounds < _MOST_ROUNDS)
    return low


@triton.jit
def _mass_kept(source, scale, low, least, CHANGES: tl.constexpr):
    """Sum up the candidates from a score up that weigh at least so much."""
    top, sharpness = scale
    mass = tl.zeros([_TILE], tl.int64)
    for first in range(0, source[4], _TILE):
        x, _ = _candidates(source, first, CHANGES)
        weight = weigh(x, top, sharpness)
        mass += tl.where((x >= low) & (weight >= least), _in_units(weight), 0)
    return tl.sum(mass, axis=0)


@triton.jit
def _exclude_top_choices(source, scale, low, least, ends, slot, words, CHANGES: tl.constexpr):
    """XTC: return the highest score that stays, that of the least likely top choice.

    Top choices weigh at least ``least``. Nothing is excluded where there is but one, or where an
    end token would be among the excluded (see `engine.model.draw`).
    """
    top, sharpness = scale
    count = 0
    lowest = top
    for first in range(0, source[4], _TILE):
        x, _ = _candidates(source, first, CHANGES)
        is_choice = (x >= low) & (weigh(x, top, sharpness) >= least)
        count += tl.sum(is_choice.to(tl.int32), axis=0)
        lowest = tl.minimum(lowest, tl.min(tl.where(is_choice, x, float("inf")), axis=0))
    has_end = 0
    for first in range(0, source[4], _TILE):
        x, token = _candidates(source, first, CHANGES)
        is_end = is_in(ends, slot, words, token, x > lowest)
        has_end = tl.maximum(has_end, tl.max(is_end.to(tl.int32), axis=0))
    return tl.where((count > 1) & (has_end == 0), lowest, top)


@triton.jit
def _race(source, scale, low, high, least, seed, position, CHANGES: tl.constexpr):
    """Race the candidates within a range of scores that weigh at least so much."""
    top, sharpness = scale
    lead = 0.0
    winner = NO_TOKEN
    for first in range(0, source[4], _TILE):
        x, token = _candidates(source, first, CHANGES)
        weight = weigh(x, top, sharpness)
        races = (x >= low) & (x <= high) & (weight >= least)
        mine = tl.where(races, weight / exponential(noise_of(seed, position, token)), 0.0)
        most = tl.max(mine, axis=0)
        who = tl.min(tl.where(mine == most, token, NO_TOKEN), axis=0)
        leads = (most > lead) | ((most == lead) & (who < winner))
        winner = tl.where(leads, who, winner)
        lead = tl.where(leads, most, lead)
    return lead, winner
