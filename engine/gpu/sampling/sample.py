"""Launches the sampler: from logits to the next token of every sequence, all on the device.

Two kernels where no request changes its logits or leaves tokens out, six at most. Nothing is read
back and nothing waits, so a step that ends in sampling can be captured and replayed.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from engine.gpu.sampling.candidate_kernels import CAPACITY, gather_candidates, set_cutoffs
from engine.gpu.sampling.noise import GROUP, PARTS
from engine.gpu.sampling.penalties import change_scores
from engine.gpu.sampling.sample_kernels import choose_tokens
from engine.gpu.sampling.sampled_rows import Candidates, SampledRows, Scores, Survey
from engine.gpu.sampling.sampling_state import SamplingState
from engine.gpu.sampling.survey_kernels import survey_rows
from engine.gpu.step.request_state import RequestState

_MOST_REGISTERS = 224
"""More than the last kernel takes; left alone, the compiler aims at two programs per processor, of
which there are rarely that many, and spills."""


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
    penalties come first (`penalty_kernels`), then temperature and filters (`filter_kernels`), then
    a race (`noise`). Rows of temperature 0 take the first of the largest scores.

    The slots' ``num_computed`` rises by ``num_new``. Where something is sampled, ``num_tokens``
    rises by one, and the token stands in ``tokens``, if there is room, and in the counts of a slot
    that looks back. A sequence for which there is no token goes on as if it had got token 0.

    Args:
        logits: ``[rows, vocab]``, the columns side by side; not modified.
        slots: ``[sequences]`` int32, each slot once at most; -1 for padding, which writes nothing.
        logit_rows: ``[sequences]`` int32; -1 where nothing is sampled.
        num_new: ``[sequences]`` int32, tokens that were computed in this step.
        requests: Updated.
        state: Updated.
        out: ``[sequences]`` int32, the token, or `NOT_FINITE` or `NOTHING_LEFT` of
            `engine.gpu.sampling.sampling_state`; written where something is sampled.
        changes: Whether any of the slots changes its logits (`SlotSampling.changes_logits`).
        filters: Whether any of them leaves tokens out (`SlotSampling.filters`).
        masks: ``[sequences, words]`` int32, a bit for each token that a grammar allows.
        masked: ``[sequences]`` int32, 0 where no grammar constrains; given with ``masks``.
    """
    assert logits.shape[1] == state.vocab, "the state was made for another vocabulary"
    assert logits.stride(1) == 1
    assert (masks is None) == (masked is None)
    rows = SampledRows(logits, slots, logit_rows, requests, state)
    any_changes = changes or masks is not None
    scores = change_scores(rows, own=changes, masks=masks, masked=masked)
    survey = _survey(rows, scores, any_changes=any_changes, own=changes, filters=filters)
    num_groups = survey.largest.shape[2]
    candidates = Candidates(*(slots,) * 5)  # nothing that is read
    if filters:
        candidates = _gather(rows, scores, survey, any_changes=any_changes)
    choose_tokens[len(slots),](
        *scores,
        *rows.slot_tables,
        num_new,
        requests.num_computed,
        requests.tokens,
        state.counts,
        state.ends,
        *survey,
        *candidates,
        out,
        num_groups,
        requests.tokens.shape[1],
        logits.stride(0),
        state.vocab,
        state.ends.shape[1],
        PADDED=triton.next_power_of_2(num_groups),
        CHANGES=any_changes,
        OWN=changes,
        FILTERS=filters,
        num_warps=8 if filters else 1,
        maxnreg=_MOST_REGISTERS if filters else None,
    )


def _survey(
    rows: SampledRows, scores: Scores, *, any_changes: bool, own: bool, filters: bool
) -> Survey:
    count, vocab = len(rows.slots), rows.state.vocab
    groups = triton.cdiv(vocab, GROUP)
    accounts = 2 if own else 1
    shape = accounts, count, groups  # one by one: parts of one piece of memory are not aligned
    largest, masses, leads = (rows.scratch(*shape) for _ in range(3))
    firsts, winners = (rows.scratch(*shape, dtype=torch.int32) for _ in range(2))
    part_tops = rows.scratch(count, groups, PARTS.value)
    survey = Survey(largest, firsts, masses, leads, winners, part_tops)
    survey_rows[count, groups](
        *scores,
        *rows.slot_tables,
        rows.state.ends,
        *survey,
        rows.logits.stride(0),
        vocab,
        rows.state.ends.shape[1],
        CHANGES=any_changes,
        OWN=own,
        FILTERS=filters,
        num_warps=4,
    )
    return survey


def _gather(rows: SampledRows, scores: Scores, survey: Survey, *, any_changes: bool) -> Candidates:
    count, vocab, groups = len(rows.slots), rows.state.vocab, survey.largest.shape[2]
    candidates = Candidates(
        cutoffs=rows.scratch(count),
        totals=rows.scratch(count),
        sizes=rows.scratch(count, dtype=torch.int32),
        scores=rows.scratch(count, CAPACITY.value),
        tokens=rows.scratch(count, CAPACITY.value, dtype=torch.int32),
    )
    set_cutoffs[count,](
        *rows.slot_tables,
        *survey,
        candidates.cutoffs,
        candidates.totals,
        candidates.sizes,
        groups,
        vocab,
        PADDED=triton.next_power_of_2(groups),
        num_warps=4,
    )
    gather_candidates[count, groups](
        *scores,
        *rows.slot_tables,
        *survey,
        *candidates,
        rows.logits.stride(0),
        vocab,
        CHANGES=any_changes,
        num_warps=4,
    )
    return candidates
