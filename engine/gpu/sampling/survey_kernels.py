"""A look at rows of scores by many programs each: what is largest, how much mass, who is drawn.

Every program takes a group of the vocabulary and leaves what the end needs, relative to the group's
own largest score, because that of the row is not known yet.

Before ``min_tokens`` the survey keeps two accounts, one of all other tokens and then one of the end
tokens, which are banned. Where nothing else is left, the ban is lifted: the second account stands
for the row, and no filter applies.
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.sampling.noise import GROUP, LANES, PARTS, exponential, noise_block, weigh
from engine.gpu.sampling.slot_kernels import (
    filters_of,
    is_early,
    is_in,
    load_scores,
    seed_of,
    sharpness_of,
)

NO_TOKEN = tl.constexpr(2**31 - 1)


@triton.jit
def survey_rows(
    logits,  # [rows, stride]
    changed_scores,  # [sequences, vocab] float32; banned end tokens are taken out
    changed,  # [sequences] int32
    slots,  # [sequences] int32, -1 for padding
    logit_rows,  # [sequences] int32, -1 where nothing is sampled
    num_tokens,  # [slots] int32
    num_prompt_tokens,  # [slots] int32
    numbers,  # [slots, len(NUMBERS)] float32
    integers,  # [slots, len(INTEGERS)] int32
    ends,  # [slots, words] int32
    largest,  # [accounts, sequences, groups] float32; infinite where a score is not finite
    firsts,  # [accounts, sequences, groups] int32, the first token with the largest score
    masses,  # [accounts, sequences, groups] float32, sums of weights
    leads,  # [accounts, sequences, groups] float32, the race winner's weight over its noise
    winners,  # [accounts, sequences, groups] int32, who that is
    part_tops,  # [sequences, groups, PARTS] float32, the largest scores of parts
    stride,
    vocab,
    words,
    CHANGES: tl.constexpr,  # whether some scores were changed
    OWN: tl.constexpr,  # whether requests' own changes are among them: there are two accounts
    FILTERS: tl.constexpr,
):
    """Survey one group of one row; rows from which tokens are left out do not race yet."""
    sequence = tl.program_id(0)
    group = tl.program_id(1)
    slot = tl.load(slots + sequence).to(tl.int64)
    row = tl.load(logit_rows + sequence)
    if (slot < 0) | (row < 0):
        return
    token = group * GROUP + tl.arange(0, LANES)
    source = (logits, changed_scores, changed, sequence, row, stride, vocab)
    scores = load_group(source, token, CHANGES)
    place = sequence * tl.num_programs(1) + group
    is_broken = tl.zeros([LANES], tl.int32)
    for part in tl.static_range(PARTS):
        x = scores[part]
        is_broken |= ((x != x) | (x == float("inf"))).to(tl.int32)
    if tl.max(is_broken, axis=0) != 0:
        tl.store(largest + place, float("inf"))
        return

    position = tl.load(num_tokens + slot) - tl.load(num_prompt_tokens + slot)
    seed = seed_of(integers, slot)
    sharpness = sharpness_of(numbers, slot)
    races = sharpness > 0
    if OWN:
        second = place + tl.num_programs(0) * tl.num_programs(1)
        tl.store(largest + second, float("-inf"))
        if is_early(integers, slot, position):
            end_scores = ()
            other_scores = ()
            for part in tl.static_range(PARTS):
                at = token + part * LANES
                is_end = is_in(ends, slot, words, at, at < vocab)
                end_scores = end_scores + (tl.where(is_end, scores[part], float("-inf")),)
                other_scores = other_scores + (tl.where(is_end, float("-inf"), scores[part]),)
                out = changed_scores + sequence.to(tl.int64) * vocab + at
                tl.store(out, other_scores[part], mask=is_end)
            scores = other_scores
            top = _find_largest(end_scores, token, second, largest, firsts)
            race_group(
                end_scores, top, sharpness, token, seed, position, races, second, leads, winners
            )
    top = _find_largest(scores, token, place, largest, firsts)
    if FILTERS:
        limited, _, _, _, xtc = filters_of(numbers, integers, slot, position)
        leaves_out = races & (limited | (xtc >= 0))
        races = races & (leaves_out == 0)
        if leaves_out:
            mass = tl.zeros([LANES], tl.float32)
            for part in tl.static_range(PARTS):
                mass += weigh(scores[part], top, sharpness)
                tl.store(part_tops + place * PARTS + part, tl.max(scores[part], axis=0))
            tl.store(masses + place, tl.sum(mass, axis=0))
    race_group(scores, top, sharpness, token, seed, position, races, place, leads, winners)


@triton.jit
def load_group(row_of_scores, token, CHANGES: tl.constexpr):
    """Return a group's scores in `PARTS` of `LANES`; ``token`` is the first part's."""
    scores = ()
    for part in tl.static_range(PARTS):
        scores = scores + (load_scores(row_of_scores, token + part * LANES, CHANGES),)
    return scores


@triton.jit
def row_top(largest, place, num_groups, PADDED: tl.constexpr):
    """Return the largest scores of a row's groups, and of the row."""
    group = tl.arange(0, PADDED)
    tops = tl.load(largest + place + group, mask=group < num_groups, other=float("-inf"))
    return tops, tl.max(tops, axis=0)


@triton.jit
def _find_largest(scores, token, place, largest, firsts):
    """Store and return the largest score, and store the first token that has it."""
    top = scores[0]
    for part in tl.static_range(1, PARTS):
        top = tl.maximum(top, scores[part])
    top = tl.max(top, axis=0)
    first = tl.zeros_like(token) + NO_TOKEN
    for part in tl.static_range(PARTS):
        first = tl.minimum(first, tl.where(scores[part] == top, token + part * LANES, NO_TOKEN))
    tl.store(largest + place, top)
    tl.store(firsts + place, tl.min(first, axis=0))
    return top


@triton.jit
def race_group(scores, top, sharpness, token, seed, position, races, place, leads, winners):
    """Store who wins a group's race; a lead of 0 where there is none."""
    lead = 0.0
    winner = NO_TOKEN
    if races:
        noise = noise_block(seed, position, token // GROUP * LANES + token % LANES)
        most = tl.zeros([LANES], tl.float32)
        who = tl.zeros([LANES], tl.int32) + NO_TOKEN
        for part in tl.static_range(PARTS):
            mine = weigh(scores[part], top, sharpness) / exponential(noise[part])
            who = tl.where(mine > most, token + part * LANES, who)
            most = tl.maximum(mine, most)
        lead = tl.max(most, axis=0)
        winner = tl.min(tl.where(most == lead, who, NO_TOKEN), axis=0)
    tl.store(leads + place, lead)
    tl.store(winners + place, winner)
