"""Which tokens may come at all where some are left out, found without sorting.

`set_cutoffs` bounds a row's candidates from below by what the survey saw: tokens below a cutoff are
too few, too unlikely or too light together to be kept by any filter. `gather_candidates` lists the
others, mostly some hundreds. With XTC alone, tokens below the cutoff can only be kept, and race at
once.
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.sampling.noise import GROUP, LANES, PARTS, weigh
from engine.gpu.sampling.slot_kernels import filters_of, seed_of, sharpness_of
from engine.gpu.sampling.survey_kernels import load_group, race_group, row_top

CAPACITY = tl.constexpr(8192)
"""Candidates that a list has room for."""
_FARTHEST = tl.constexpr(80.0)
"""A token this far below the likeliest, temperature applied, is never drawn."""
_MARGIN = tl.constexpr(1e-3)
"""By how much a cutoff is lowered, so that rounding keeps no candidate from the list."""
_HALVINGS = tl.constexpr(12)


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
    for _ in range(_HALVINGS):
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
    source = (logits, changed_scores, changed, sequence, row, stride, vocab)
    scores = load_group(source, token, CHANGES)
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
        seed, sharpness = seed_of(integers, slot), sharpness_of(numbers, slot)
        race_group(rest, top, sharpness, token, seed, position, True, place, leads, winners)
