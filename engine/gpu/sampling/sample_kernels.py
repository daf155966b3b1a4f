"""The end of sampling: one token for each sequence, and what follows from it for its slot."""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.sampling.filter_kernels import draw_filtered
from engine.gpu.sampling.noise import weigh
from engine.gpu.sampling.sampling_state import INTEGERS, NOT_FINITE, NOTHING_LEFT, OCCURRENCE
from engine.gpu.sampling.slot_kernels import integer_of, sharpness_of
from engine.gpu.sampling.survey_kernels import NO_TOKEN, row_top

_NOT_FINITE = tl.constexpr(NOT_FINITE)
_NOTHING_LEFT = tl.constexpr(NOTHING_LEFT)
_LOOKS_BACK = tl.constexpr(INTEGERS.index("looks_back"))
_OCCURRENCE = tl.constexpr(OCCURRENCE)


@triton.jit
def choose_tokens(
    logits,  # [rows, stride]
    changed_scores,  # [sequences, vocab] float32
    changed,  # [sequences] int32
    slots,  # [sequences] int32, -1 for padding
    logit_rows,  # [sequences] int32, -1 where nothing is sampled
    num_tokens,  # [slots] int32, updated
    num_prompt_tokens,  # [slots] int32
    numbers,  # [slots, len(NUMBERS)] float32
    integers,  # [slots, len(INTEGERS)] int32
    num_new,  # [sequences] int32, tokens computed in this step
    num_computed,  # [slots] int32, updated
    tokens,  # [slots, max_tokens] int32, updated
    counts,  # [slots, vocab] int32, updated
    ends,  # [slots, words] int32
    largest,  # [accounts, sequences, groups] float32
    firsts,  # [accounts, sequences, groups] int32
    masses,  # not read
    leads,  # [accounts, sequences, groups] float32
    winners,  # [accounts, sequences, groups] int32
    part_tops,  # not read
    cutoffs,  # [sequences] float32
    totals,  # [sequences] float32
    sizes,  # [sequences] int32
    listed_scores,  # [sequences, CAPACITY] float32
    listed_tokens,  # [sequences, CAPACITY] int32
    out,  # [sequences] int32, written where something is sampled
    num_groups,
    max_tokens,
    stride,
    vocab,
    words,
    PADDED: tl.constexpr,  # groups
    CHANGES: tl.constexpr,
    OWN: tl.constexpr,
    FILTERS: tl.constexpr,
):
    """Choose a sequence's token and write it behind its others.

    A sequence that gets no token goes on as if it had got token 0: whoever reads `out` ends it, and
    a step that was launched before then finds nothing out of the ordinary.
    """
    sequence = tl.program_id(0)
    slot = tl.load(slots + sequence).to(tl.int64)
    if slot < 0:
        return
    computed = tl.load(num_computed + slot) + tl.load(num_new + sequence)
    tl.store(num_computed + slot, computed)
    row = tl.load(logit_rows + sequence)
    if row < 0:
        return
    end = tl.load(num_tokens + slot)
    position = end - tl.load(num_prompt_tokens + slot)
    place = sequence * num_groups
    tops, top = row_top(largest, place, num_groups, PADDED)
    if OWN:
        if top == float("-inf"):  # perhaps end tokens are left, whose ban is lifted then
            place += tl.num_programs(0) * num_groups
            tops, top = row_top(largest, place, num_groups, PADDED)
    token = _NOT_FINITE
    if top == float("-inf"):
        if CHANGES:
            token = tl.where(tl.load(changed + sequence) != 0, _NOTHING_LEFT, _NOT_FINITE)
    elif top < float("inf"):
        group = tl.arange(0, PADDED)
        is_best = (group < num_groups) & (tops == top)
        first = tl.load(firsts + place + group, mask=is_best, other=NO_TOKEN)
        token = tl.min(first, axis=0)
        sharpness = sharpness_of(numbers, slot)
        if sharpness > 0:
            is_group = group < num_groups
            lead = tl.load(leads + place + group, mask=is_group, other=0.0)
            lead *= weigh(tops, top, sharpness)
            most = tl.max(lead, axis=0)
            winner = tl.load(
                winners + place + group, mask=is_group & (lead == most), other=NO_TOKEN
            )
            winner = tl.min(winner, axis=0)
            if FILTERS:
                if tl.load(cutoffs + sequence) < float("inf"):
                    source = (logits, changed_scores, changed, sequence, row, stride, vocab)
                    listed, candidate = draw_filtered(
                        source, slot, position, numbers, integers, ends, words, top,
                        cutoffs, totals, sizes, listed_scores, listed_tokens, CHANGES,
                    )  # fmt: skip
                    winner = tl.where(listed > most, candidate, winner)
                    most = tl.maximum(listed, most)
            token = tl.where(most > 0, winner, token)
    tl.store(out + sequence, token)

    known = tl.maximum(token, 0)
    if end < max_tokens:
        tl.store(tokens + slot * max_tokens + end, known)
    tl.store(num_tokens + slot, end + 1)
    if integer_of(integers, slot, _LOOKS_BACK) != 0:
        word = counts + slot * vocab + known
        tl.store(word, tl.load(word) + _OCCURRENCE)
