"""Launches the kernels of `engine.gpu.sampling.penalty_kernels`."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from engine.gpu.sampling.penalty_kernels import change_logits, find_repeats
from engine.gpu.sampling.sampled_rows import SampledRows, Scores
from engine.gpu.sampling.sampling_state import MAX_BIASED_TOKENS

_PLACES = 256
_TOKENS = 1024


def change_scores(
    rows: SampledRows, *, own: bool, masks: Tensor | None = None, masked: Tensor | None = None
) -> Scores:
    """Apply bias, penalties, bans and masks, all but the ban of end tokens.

    Args:
        rows: Their logits are not modified.
        own: Whether the slots' own changes apply.
        masks: ``[sequences, words]`` int32, a bit for each token that a grammar allows.
        masked: ``[sequences]`` int32, 0 where no grammar constrains.
    """
    logits, requests, state = rows.logits, rows.requests, rows.state
    count, vocab, words = len(rows.slots), state.vocab, state.ends.shape[1]
    if not own and masks is None:
        return Scores(logits, logits, rows.slots)
    if own:
        max_tokens = requests.tokens.shape[1]
        find_repeats[count, triton.cdiv(max_tokens, _PLACES)](
            *rows.slot_tables,
            requests.tokens,
            state.ends,
            state.breakers,
            state.counts,
            max_tokens,
            vocab,
            words,
            PLACES=_PLACES,
            num_warps=1,
        )
    changed_scores = rows.scratch(count, vocab)
    changed = rows.scratch(count, dtype=torch.int32)
    change_logits[count, triton.cdiv(vocab, _TOKENS)](
        logits,
        *rows.slot_tables,
        state.counts,
        state.allowed,
        state.biased,
        state.biases,
        rows.slots if masks is None else masks,
        rows.slots if masked is None else masked,
        changed_scores,
        changed,
        logits.stride(0),
        vocab,
        words,
        0 if masks is None else masks.shape[1],
        BIASED=MAX_BIASED_TOKENS,
        TOKENS=_TOKENS,
        OWN=own,
        HAS_MASKS=masks is not None,
        num_warps=4,
    )
    return Scores(logits, changed_scores, changed)
