"""Draws where tokens are left out: top-k, top-p of what that left, min-p, then XTC.

Every filter keeps the scores from some value up, and XTC takes away those above another: a row's
candidates are a range of scores, and nothing is sorted to find it. Tokens with a score at a bound
all stay. Three kernels:

1. `set_cutoffs` bounds from below, by what the survey saw, what could be kept at all.
2. `gather_candidates` lists the tokens from there up, mostly some hundreds. (With XTC alone, those
   below can only be kept: they race at once.)
3. `draw_filtered`, in one program per row, narrows each bound down: it cuts the range in which the
   bound lies into eight, weighs the tokens above each cut, and goes on in the piece where the
   target is passed, until the piece holds one distinct score.

Mass is counted in whole units, of which the likeliest token has 2**40, so a sum does not depend on
the order in which the list was filled. A list that is too long is not used; then the row itself is
walked through, which is slow and rare.
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.sampling.noise import GROUP, LANES, PARTS, exponential, noise_block, noise_of, weigh
from engine.gpu.sampling.slot_kernels import (
    filters_of,
    is_in,
    load_scores,
    seed_of,
    sharpness_of,
)
from engine.gpu.sampling.survey_kernels import NO_TOKEN, load_group, race_group

CAPACITY = tl.constexpr(8192)
"""Candidates that a list has room for."""
_TILE = tl.constexpr(1024)
_CUTS = tl.constexpr(8)
_MOST_ROUNDS = tl.constexpr(64)
_FARTHEST = tl.constexpr(80.0)
"""A token this far below the likeliest, temperature applied, is never drawn."""
_MARGIN = tl.constexpr(1e-3)
"""By how much a cutoff is lowered, so that rounding keeps no candidate from the list."""
_ALL_MASS = tl.constexpr(2.0**40)


@triton.jit
def row_top(largest, place, num_groups, PADDED: tl.constexpr):
    """Return the largest scores of a row's groups, and of the row."""
    group = tl.arange(0, PADDED)
    tops = tl.load(largest + place + group, mask=group < num_groups, other=float("-inf"))
    return tops, tl.max(tops, axis=0)


@triton.jit
def set_cutoffs(
    slots,  # [sequences] int32, -1 for padding
    logit_rows,  # [sequences] int32, -1 where nothing is sampled
    num_tokens,  # [slots] int32
    num_prompt_tokens,  # [slots] int32
    numbers,  # [slots, len(NUMBERS)] float32
    integers,  # [slots, len(INTEGERS)] int32
    largest,  # [accounts, sequences, groups] float32
    firsts,  # not read
    masses,  # [accounts, sequences, groups] float32
    leads,  # not read
    winners,  # not read
    part_tops,  # [sequences, groups, PARTS] float32
    cutoffs,  # [sequences] float32, infinite where nothing is left out
    totals,  # [sequences] float32, the mass of all tokens
    sizes,  # [sequences] int32, how long the lists are; cleared
    num_groups,
    vocab,
    PADDED: tl.constexpr,  # groups
):
    """Find a score that every candidate of a row has at least."""
    sequence = tl.program_id(0)
    slot = tl.load(slots + sequence).to(tl.int64)
    if (slot < 0) | (tl.load(logit_rows + sequence) < 0):
        return
    position = tl.load(num_tokens + slot) - tl.load(num_prompt_tokens + slot)
    sharpness = sharpness_of(numbers, slot)
    limited, top_k, top_p, min_p, xtc = filters_of(numbers, integers, slot, position)
    tops, top = row_top(largest, sequence * num_groups, num_groups, PADDED)
    cutoff = float("inf")
    leaves_out = (sharpness > 0) & (limited | (xtc >= 0))
    if leaves_out & (top > float("-inf")) & (top < float("inf")):
        group = tl.arange(0, PADDED)
        mass = tl.load(masses + sequence * num_groups + group, mask=group < num_groups, other=0.0)
        total = tl.sum(mass * weigh(tops, top, sharpness), axis=0)
        tl.store(totals + sequence, total)
        reach = _FARTHEST
        if (top_p < 1.0) & (top_k == 0):
            # all tokens below weigh too little together to be missed
            reach = tl.minimum(reach, tl.log(2.0 * vocab / ((1.0 - top_p) * total)))
        if (min_p > 0.0) & ((top_p >= 1.0) | (top_k == 0)):
            reach = tl.minimum(reach, _MARGIN - tl.log(min_p))
        if limited == 0:
            reach = tl.minimum(reach, _MARGIN - tl.log(tl.maximum(xtc, 1e-30) * total))
        cutoff = top - reach / sharpness
        if (top_k > 0) & (top_k <= num_groups * PARTS):
            cutoff = _raise_cutoff(
                cutoff, top, top_k, part_tops + sequence * num_groups * PARTS, num_groups, PADDED
            )
    tl.store(cutoffs + sequence, cutoff)
    tl.store(sizes + sequence, 0)


@triton.jit
def _raise_cutoff(cutoff, top, top_k, part_tops, num_groups, PADDED: tl.constexpr):
    """Go nearly up to where k parts have their largest score: so many tokens are above it."""
    part = tl.arange(0, PADDED * PARTS)
    tops = tl.load(part_tops + part, mask=part < num_groups * PARTS, other=float("-inf"))
    above = top
    for _ in range(12):
        middle = cutoff + (above - cutoff) * 0.5
        enough = tl.sum((tops >= middle).to(tl.int32), axis=0) >= top_k
        cutoff = tl.where(enough, middle, cutoff)
        above = tl.where(enough, above, middle)
    return cutoff


@triton.jit
def gather_candidates(
    logits,  # [rows, stride]
    changed_scores,  # [sequences, vocab] float32
    changed,  # [sequences] int32
    slots,  # [sequences] int32, -1 for padding
    logit_rows,  # [sequences] int32, -1 where nothing is sampled
    num_tokens,  # [slots] int32
    num_prompt_tokens,  # [slots] int32
    numbers,  # [slots, len(NUMBERS)] float32
    integers,  # [slots, len(INTEGERS)] int32
    largest,  # [accounts, sequences, groups] float32
    firsts,  # not read
    masses,  # not read
    leads,  # [accounts, sequences, groups] float32, written for rows with XTC alone
    winners,  # [accounts, sequences, groups] int32, likewise
    part_tops,  # not read
    cutoffs,  # [sequences] float32
    totals,  # not read
    sizes,  # [sequences] int32, updated; more than `CAPACITY` means that not all are there
    listed_scores,  # [sequences, CAPACITY] float32
    listed_tokens,  # [sequences, CAPACITY] int32
    stride,
    vocab,
    CHANGES: tl.constexpr,
):
    """List one group's candidates, in any order."""
    sequence = tl.program_id(0)
    group = tl.program_id(1)
    slot = tl.load(slots + sequence).to(tl.int64)
    row = tl.load(logit_rows + sequence)
    if (slot < 0) | (row < 0):
        return
    cutoff = tl.load(cutoffs + sequence)
    if cutoff == float("inf"):
        return
    position = tl.load(num_tokens + slot) - tl.load(num_prompt_tokens + slot)
    limited, _, _, _, _ = filters_of(numbers, integers, slot, position)
    place = sequence * tl.num_programs(1) + group
    top = tl.load(largest + place)
    if limited & (top < cutoff):
        return
    token = group * GROUP + tl.arange(0, LANES)
    scores = load_group(
        logits, changed_scores, changed, sequence, row, stride, vocab, token, CHANGES
    )
    rest = ()
    for part in tl.static_range(PARTS):
        x = scores[part]
        taken = (x >= cutoff).to(tl.int32)
        begin = tl.atomic_add(sizes + sequence, tl.sum(taken, axis=0), sem="relaxed")
        at = begin + tl.cumsum(taken, axis=0) - 1
        fits = (taken != 0) & (at < CAPACITY)
        out = sequence.to(tl.int64) * CAPACITY + at
        tl.store(listed_scores + out, x, mask=fits)
        tl.store(listed_tokens + out, token + part * LANES, mask=fits)
        rest = rest + (tl.where(x >= cutoff, float("-inf"), x),)
    if limited == 0:
        block = group * LANES + tl.arange(0, LANES)
        noise = noise_block(seed_of(integers, slot), position, block)
        sharpness = sharpness_of(numbers, slot)
        race_group(rest, top, token, noise, sharpness, True, place, leads, winners)


@triton.jit
def draw_filtered(
    logits,
    changed_scores,
    changed,
    slot,
    sequence,
    row,
    position,
    numbers,
    integers,
    ends,
    top,  # the row's largest score
    cutoffs,
    totals,
    sizes,
    listed_scores,
    listed_tokens,
    stride,
    vocab,
    words,
    CHANGES: tl.constexpr,
):
    """Race a row's candidates; return the winner's weight over its noise, and who that is."""
    sharpness = sharpness_of(numbers, slot)
    limited, top_k, top_p, min_p, xtc = filters_of(numbers, integers, slot, position)
    low = tl.load(cutoffs + sequence)
    mass = _in_units(tl.load(totals + sequence).to(tl.float64))
    size = tl.load(sizes + sequence)
    is_listed = size <= CAPACITY
    size = tl.where(is_listed, size, vocab)
    row_of_scores = (logits, changed_scores, changed, sequence, row, stride, vocab)
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
    logits, changed_scores, changed, sequence, row, stride, vocab = row_of_scores
    at = first + tl.arange(0, _TILE)
    if is_listed:
        place = sequence.to(tl.int64) * CAPACITY + at
        scores = tl.load(listed_scores + place, mask=at < size, other=float("-inf"))
        token = tl.load(listed_tokens + place, mask=at < size, other=0)
    else:
        scores = load_scores(
            logits, changed_scores, changed, sequence, row, stride, vocab, at, CHANGES
        )
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
