"""Launches the sampler: from logits to the next token of every sequence, all on the device.

Six kernels at most, and three where no request changes its logits or leaves tokens out. Nothing is
read back and nothing waits, so a step that ends in sampling can be captured and replayed.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from engine.gpu.filter_kernels import CAPACITY, gather_candidates, set_cutoffs
from engine.gpu.noise import GROUP, PARTS
from engine.gpu.penalty_kernels import change_logits, find_repeats
from engine.gpu.request_state import RequestState
from engine.gpu.sample_kernels import choose_tokens
from engine.gpu.sampling_state import MAX_BIASED_TOKENS, SamplingState
from engine.gpu.survey_kernels import survey_rows

_PLACES = 256
_TOKENS = 1024


def sample(
    logits: Tensor,
    slots: Tensor,
    logit_rows: Tensor,
    num_new: Tensor,
    requests: RequestState,
    state: SamplingState,
    out: Tensor,
    *,
    changes: bool,
    filters: bool,
    masks: Tensor | None = None,
    masked: Tensor | None = None,
) -> None:
    """Choose the next token of each sequence and write it behind its others.

    A token depends on its own row, slot and mask alone, whatever the batch. Grammar, bias, bans and
    penalties come first (`engine.gpu.penalty_kernels`), then temperature and filters
    (`engine.gpu.filter_kernels`), then a race (`engine.gpu.noise`). Rows of temperature 0 take the
    first of the largest scores.

    The slots' ``num_computed`` rises by ``num_new``. Where something is sampled, ``num_tokens``
    rises by one, and the token stands in ``tokens``, if there is room, and in the counts of a slot
    that looks back. A sequence without a token goes on as if it had got token 0.

    Args:
        logits: ``[rows, vocab]``, not modified.
        slots: ``[sequences]`` int32, each slot once at most; -1 for padding.
        logit_rows: ``[sequences]`` int32; -1 where nothing is sampled.
        num_new: ``[sequences]`` int32, tokens that were computed in this step.
        requests: Updated.
        state: Updated.
        out: ``[sequences]`` int32, a token or `NOT_FINITE` or `NOTHING_LEFT`; written where
            something is sampled.
        changes: Whether any of the slots changes its logits (`SlotSampling.changes_logits`).
        filters: Whether any leaves tokens out (`SlotSampling.filters`).
        masks: ``[sequences, words]`` int32, a bit for each token that a grammar allows.
        masked: ``[sequences]`` int32, 0 where no grammar constrains; given with ``masks``.
    """
    num_sequences, vocab = len(slots), logits.shape[1]
    assert vocab == state.vocab, "the state was made for another vocabulary"
    assert (masks is None) == (masked is None)
    device, stride, words = logits.device, logits.stride(0), state.ends.shape[1]

    def scratch(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=device)

    groups = triton.cdiv(vocab, GROUP)
    padded = triton.next_power_of_2(groups)
    any_changes = changes or masks is not None
    sequences = (slots, logit_rows)
    lengths = (requests.num_tokens, requests.num_prompt_tokens)
    how = (state.numbers, state.integers)

    scores, changed = logits, slots  # stand in where nothing changes
    if any_changes:
        scores = scratch(num_sequences, vocab)
        changed = scratch(num_sequences, dtype=torch.int32)
        if changes:
            max_tokens = requests.tokens.shape[1]
            find_repeats[num_sequences, triton.cdiv(max_tokens, _PLACES)](
                *sequences,
                requests.tokens,
                requests.num_tokens,
                *how,
                state.ends,
                state.breakers,
                state.counts,
                max_tokens,
                vocab,
                words,
                PLACES=_PLACES,
                num_warps=1,
            )
        change_logits[num_sequences, triton.cdiv(vocab, _TOKENS)](
            logits,
            *sequences,
            *lengths,
            *how,
            state.counts,
            state.allowed,
            state.biased,
            state.biases,
            slots if masks is None else masks,
            slots if masked is None else masked,
            scores,
            changed,
            stride,
            vocab,
            words,
            0 if masks is None else masks.shape[1],
            BIASED=MAX_BIASED_TOKENS,
            TOKENS=_TOKENS,
            OWN=changes,
            HAS_MASKS=masks is not None,
            num_warps=4,
        )

    accounts = 2 if changes else 1
    largest, masses, leads = scratch(3, accounts, num_sequences, groups)
    firsts, winners = scratch(2, accounts, num_sequences, groups, dtype=torch.int32)
    part_tops = scratch(num_sequences, groups, PARTS.value) if filters else largest
    survey_rows[num_sequences, groups](
        logits,
        scores,
        changed,
        *sequences,
        *lengths,
        *how,
        state.ends,
        largest,
        firsts,
        masses,
        leads,
        winners,
        part_tops,
        stride,
        vocab,
        words,
        CHANGES=any_changes,
        OWN=changes,
        FILTERS=filters,
        num_warps=4,
    )

    cutoffs, totals, sizes, listed = largest, largest, slots, (largest, slots)
    if filters:
        cutoffs, totals = scratch(2, num_sequences)
        sizes = scratch(num_sequences, dtype=torch.int32)
        room = (num_sequences, CAPACITY.value)
        listed = (scratch(*room), scratch(*room, dtype=torch.int32))
        set_cutoffs[num_sequences,](
            *sequences,
            *lengths,
            *how,
            largest,
            masses,
            part_tops,
            cutoffs,
            totals,
            sizes,
            groups,
            vocab,
            PADDED=padded,
            num_warps=4,
        )
        gather_candidates[num_sequences, groups](
            logits,
            scores,
            changed,
            *sequences,
            *lengths,
            *how,
            largest,
            leads,
            winners,
            cutoffs,
            sizes,
            *listed,
            stride,
            vocab,
            CHANGES=any_changes,
            num_warps=4,
        )

    choose_tokens[num_sequences,](
        logits,
        scores,
        changed,
        *sequences,
        num_new,
        requests.tokens,
        *lengths,
        requests.num_computed,
        *how,
        state.counts,
        state.ends,
        largest,
        firsts,
        leads,
        winners,
        cutoffs,
        totals,
        sizes,
        *listed,
        out,
        groups,
        requests.tokens.shape[1],
        stride,
        vocab,
        words,
        PADDED=padded,
        CHANGES=any_changes,
        OWN=changes,
        FILTERS=filters,
        num_warps=8 if filters else 1,
    )
