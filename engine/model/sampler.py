"""Chooses each row's next token.

In this order: grammars (`engine.model.grammar_masks`); bias, bans and penalties
(`engine.model.penalties`); log probabilities are reported
from the logits as the model gave them; temperature; top-k; top-p; min-p; XTC; one draw. Greedy rows
take the largest logit after the penalties and skip the rest.

The full vocabulary is neither sorted nor drawn from by a general multinomial: each costs more than
the whole step of a small model. The likeliest 64 tokens are taken first, then more, and everything
is sorted only for a row whose filters reach further than that, so the result is exact. The draw is
one uniform number per row, keyed by seed and position, through the inverse of the cumulative
distribution.

Whatever a row goes through depends on that row alone, down to the order of additions: running sums
are taken along the row, and nothing is reduced in an order that the number of rows could change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.model.forward import Logits
from engine.model.grammar_masks import GrammarMasks
from engine.model.noise import DRAW, XTC_COIN, seed_of_name, uniform
from engine.model.penalties import LogitChanges, changes_logits
from engine.model.slot_state import SlotState
from engine.outputs import Logprob, ModelRunnerOutput, SampledToken, TokenLogprobs

_PRESELECT = (64, 1024, 8192)
_DRAW_BLOCK = 128
_COLDEST = 1e-5
"""Temperatures below this are greedy (vLLM's ``_SAMPLING_EPS``)."""
_NOT_FINITE = (
    "the model's output for this request is not a finite number; try again, or with another prompt"
)
_LOWEST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot say (OpenAI's convention)."""


class Sampler:
    """Draws one token per row; knows nothing of the model but its logits.

    Args:
        masks: Keeps rows to their grammars; without it, rows with a grammar fail.
    """

    def __init__(self, masks: GrammarMasks | None = None) -> None:
        self._changes = LogitChanges()
        self._masks = masks

    @torch.inference_mode()
    def sample(self, scores: Logits, rows: Mapping[int, SlotState]) -> ModelRunnerOutput:
        """Choose the next token of each row.

        Args:
            scores: Of ``len(rows)`` rows; may be overwritten.
            rows: By slot, in the order of the logits.

        Returns:
            A token for each slot, or a sentence for those whose logits are not finite, whose bans
            leave nothing, or whose grammar has no way on.
        """
        slots, states = list(rows), list(rows.values())
        logits, largest = scores.values, scores.largest
        failed = {slots[row]: _NOT_FINITE for row in _broken_rows(logits, largest)}
        if failed:
            good = [row for row, slot in enumerate(slots) if slot not in failed]
            if not good:
                return ModelRunnerOutput(sampled={}, failed=failed)
            logits = logits[good]
            largest = None if largest is None else largest[good]
            slots, states = [slots[row] for row in good], [states[row] for row in good]
        logits = logits.float()
        raw = _raw_logprobs(logits, states)
        stuck = self._constrain(logits, states)
        for row in self._change(logits, states):
            stuck.setdefault(row, _nothing_left(states[row]))
        for row, sentence in stuck.items():
            failed[slots[row]] = sentence
            logits[row] = 0.0
        token_ids = _choose(logits, states, largest)
        sampled = {
            slot: SampledToken(token_id, _report(raw.get(row), state, token_id))
            for row, (state, token_id) in enumerate(zip(states, token_ids, strict=True))
            if (slot := slots[row]) not in failed
        }
        return ModelRunnerOutput(sampled=sampled, failed=failed)

    def _constrain(self, logits: Tensor, states: Sequence[SlotState]) -> dict[int, str]:
        """Apply grammars in place; return a sentence for each row that cannot go on."""
        if self._masks is not None:
            return self._masks.apply(logits, states)
        rows = [row for row, state in enumerate(states) if state.params.grammar is not None]
        return dict.fromkeys(rows, "this engine follows no grammars; ask without one")

    def _change(self, logits: Tensor, states: Sequence[SlotState]) -> list[int]:
        """Apply bias, bans and penalties in place; return the rows without any candidate."""
        rows = [row for row, state in enumerate(states) if changes_logits(state)]
        for row in rows:
            self._changes.apply(logits[row], states[row])
        self._changes.keep_only(states[row].request_id for row in rows)
        if not rows:
            return []
        empty = (logits[rows].amax(dim=-1) == float("-inf")).tolist()
        return [row for row, nothing in zip(rows, empty, strict=True) if nothing]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Parameters of the rows that draw; tensors are ``[rows, 1]``."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    draw: Tensor
    filtered: list[bool]
    """Whether top-k, top-p or min-p is on."""
    xtc: list[_Xtc | None]
    """Set for rows on which XTC acts at this token."""

    def select(self, rows: Sequence[int]) -> _Rows:
        return _Rows(
            self.temperature[rows],
            self.top_k[rows],
            self.top_p[rows],
            self.min_p[rows],
            self.draw[rows],
            [self.filtered[row] for row in rows],
            [self.xtc[row] for row in rows],
        )


@dataclass(frozen=True, slots=True)
class _Xtc:
    threshold: float
    protected: frozenset[int]


def _nothing_left(state: SlotState) -> str:
    if state.params.grammar is not None:
        return (
            "no token is left to choose from: all that the grammar allows here are banned, or not "
            "among allowed_token_ids; lift that, or write the grammar otherwise"
        )
    return (
        "no token is left to choose from: none of allowed_token_ids is in the model's "
        "vocabulary, or all of them are banned"
    )


def _broken_rows(logits: Tensor, largest: NDArray[np.int32] | None) -> list[int]:
    if largest is not None:
        return [int(row) for row in np.flatnonzero(largest < 0)]
    # the maximum is not a number if any element is not, and infinite if any is
    finite = torch.isfinite(logits.amax(dim=-1)).tolist()
    return [row for row, fine in enumerate(finite) if not fine]


def _raw_logprobs(logits: Tensor, requests: Sequence[SlotState]) -> dict[int, Tensor]:
    rows = [row for row, request in enumerate(requests) if request.params.logprobs is not None]
    if not rows:
        return {}
    return dict(zip(rows, torch.log_softmax(logits[rows], dim=-1), strict=True))


def _report(raw: Tensor | None, request: SlotState, token_id: int) -> TokenLogprobs | None:
    count = request.params.logprobs
    if raw is None or count is None:
        return None
    values, ids = torch.topk(raw, min(count, len(raw)))
    return TokenLogprobs(
        chosen=_logprob(token_id, float(raw[token_id])),
        top=[_logprob(i, v) for i, v in zip(ids.tolist(), values.tolist(), strict=True)],
    )


def _logprob(token_id: int, value: float) -> Logprob:
    return Logprob(token_id, max(value, _LOWEST_LOGPROB))


def _choose(
    logits: Tensor, requests: Sequence[SlotState], largest: NDArray[np.int32] | None
) -> list[int]:
    drawing = [row for row, r in enumerate(requests) if r.params.temperature >= _COLDEST]
    if len(drawing) == len(requests):
        return _draw(logits, requests)
    token_ids = _largest(logits, requests, largest)
    if drawing:
        drawn = _draw(logits[drawing], [requests[row] for row in drawing])
        for row, token_id in zip(drawing, drawn, strict=True):
            token_ids[row] = token_id
    return token_ids


def _largest(
    logits: Tensor, requests: Sequence[SlotState], known: NDArray[np.int32] | None
) -> list[int]:
    """Look for the largest logits, only where they are not known or were changed since."""
    if known is None:
        return _argmax(logits)
    token_ids: list[int] = known.tolist()
    changed = [
        row
        for row, request in enumerate(requests)
        if request.params.grammar is not None or changes_logits(request)
    ]
    if changed:
        for row, token_id in zip(changed, _argmax(logits[changed]), strict=True):
            token_ids[row] = token_id
    return token_ids


def _argmax(logits: Tensor) -> list[int]:
    if logits.device.type == "cpu":  # ten times torch's own; both take the first of equals
        found: list[int] = np.argmax(logits.numpy(), axis=-1).tolist()
        return found
    return [int(i) for i in logits.argmax(dim=-1).tolist()]


def _draw(logits: Tensor, requests: Sequence[SlotState]) -> list[int]:
    """Draw from each row of ``[rows, vocab]`` float32."""
    rows = _gather_parameters(requests, logits)
    # the largest logit becomes 0 first, so that no temperature can overflow
    scaled = (logits - logits.amax(dim=-1, keepdim=True)) / rows.temperature
    probabilities = torch.softmax(scaled, dim=-1)
    token_ids = [-1] * len(requests)
    whole = [row for row, filtered in enumerate(rows.filtered) if not filtered]
    if whole:
        weights = probabilities if len(whole) == len(token_ids) else probabilities[whole]
        chosen = _draw_whole(weights, rows.select(whole))
        for row, token in zip(whole, chosen, strict=True):
            token_ids[row] = token
    pending = [row for row, filtered in enumerate(rows.filtered) if filtered]
    vocab = logits.shape[1]
    for size in (*(size for size in _PRESELECT if size < vocab), vocab):
        if not pending:
            break
        top, ids = torch.topk(probabilities[pending], size)
        drawn = _draw_sorted(top, ids, rows.select(pending), vocab)
        for row, token_id in zip(pending, drawn, strict=True):
            if token_id is not None:
                token_ids[row] = token_id
        pending = [row for row, token_id in zip(pending, drawn, strict=True) if token_id is None]
    return token_ids


def _gather_parameters(requests: Sequence[SlotState], logits: Tensor) -> _Rows:
    vocab = logits.shape[1]
    device = logits.device

    def column(values: list[float], dtype: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)[:, None]

    params = [request.params for request in requests]
    top_k = [min(p.top_k, vocab) if p.top_k > 0 else vocab for p in params]
    seeds = [
        seed_of_name(request.request_id) if request.params.seed is None else request.params.seed
        for request in requests
    ]
    positions = [request.num_output_tokens for request in requests]
    xtc: list[_Xtc | None] = []
    for request, seed, position in zip(requests, seeds, positions, strict=True):
        p = request.params
        # threshold and coin as in llama.cpp's `llama_sampler_xtc_apply`
        acts = p.xtc_probability > 0.0 and p.xtc_threshold <= 0.5
        acts = acts and uniform(seed, position, XTC_COIN) < p.xtc_probability
        xtc.append(_Xtc(p.xtc_threshold, request.stop_token_ids) if acts else None)
    return _Rows(
        temperature=column([p.temperature for p in params], torch.float32),
        top_k=column([float(k) for k in top_k], torch.int64),
        top_p=column([p.top_p for p in params], torch.float64),
        min_p=column([p.min_p for p in params], torch.float32),
        draw=column(
            [uniform(s, n, DRAW) for s, n in zip(seeds, positions, strict=True)], torch.float64
        ),
        filtered=[
            k < vocab or p.top_p < 1.0 or p.min_p > 0.0 for k, p in zip(top_k, params, strict=True)
        ],
        xtc=xtc,
    )


def _draw_whole(probabilities: Tensor, rows: _Rows) -> list[int]:
    """Draw from unfiltered rows, in the vocabulary's order: first a block of tokens, then one."""
    ids = torch.arange(probabilities.shape[1], device=probabilities.device)
    weights = _exclude_top_choices(probabilities, ids.expand_as(probabilities), rows)
    padded = functional.pad(weights, (0, -weights.shape[1] % _DRAW_BLOCK))
    blocks = padded.view(len(weights), -1, _DRAW_BLOCK)
    mass = torch.cumsum(blocks.sum(dim=-1).double(), dim=-1)
    target = rows.draw * mass[:, -1:]
    block = _first_above(mass, target)
    before = torch.where(
        block > 0, mass.gather(1, (block - 1).clamp_min(0)), torch.zeros_like(target)
    )
    inner = blocks.gather(1, block[:, :, None].expand(-1, -1, _DRAW_BLOCK))[:, 0]
    token = _first_above(torch.cumsum(inner.double(), dim=-1), target - before)
    return [int(i) for i in (block * _DRAW_BLOCK + token)[:, 0].tolist()]


def _draw_sorted(top: Tensor, ids: Tensor, rows: _Rows, vocab: int) -> list[int | None]:
    """Draw from filtered rows.

    Args:
        top: ``[rows, size]`` the largest probabilities, descending.
        ids: Their tokens.
        rows: Parameters.
        vocab: How many tokens there are in all.

    Returns:
        A token per row; ``None`` where the filters may reach further than ``size``.
    """
    size = top.shape[1]
    rank = torch.arange(size, device=top.device)
    limited = rows.top_k <= size  # the distribution after top-k is all here
    unlimited = rows.top_k >= vocab  # or there is no top-k, and its mass is known to be one
    weights = top.masked_fill(rank >= rows.top_k, 0.0).double()
    mass = torch.cumsum(weights, dim=-1)
    total = torch.where(limited, mass[:, -1:], torch.ones_like(mass[:, -1:]))
    bound = rows.top_p * total
    nucleus_reached = unlimited & (rows.top_p < 1.0) & (mass[:, -1:] >= bound)
    floor = rows.min_p * top[:, :1]
    floor_reached = (unlimited | (rows.top_p >= 1.0)) & (top[:, -1:] < floor)
    enough = limited | nucleus_reached | floor_reached
    # the smallest set that reaches p: a token stays while those before it have not reached p
    outside = (mass - weights >= bound) & (rows.top_p < 1.0) & (rank > 0)
    weights = weights.masked_fill(outside | (top < floor), 0.0)
    weights = _exclude_top_choices(weights, ids, rows)
    cumulative = torch.cumsum(weights, dim=-1)
    place = _first_above(cumulative, rows.draw * cumulative[:, -1:])
    tokens = ids.gather(1, place)[:, 0].tolist()
    return [
        int(token) if fine else None
        for token, fine in zip(tokens, enough[:, 0].tolist(), strict=True)
    ]


def _exclude_top_choices(weights: Tensor, ids: Tensor, rows: _Rows) -> Tensor:
    """XTC (p-e-w, text-generation-webui #6335; llama.cpp `llama_sampler_xtc_apply`).

    Of the tokens that are at least ``threshold`` likely after the filters, all but the least likely
    are excluded. As in text-generation-webui, a row is left alone when an end token would be among
    them: otherwise the surest end of a reply would be the one that never comes.
    """
    if not any(rows.xtc):
        return weights
    weights = weights.clone()
    for row, xtc in enumerate(rows.xtc):
        if xtc is None:
            continue
        shares = weights[row] / torch.cumsum(weights[row], dim=-1)[-1]
        above = (shares >= xtc.threshold) & (shares > 0)
        if int(above.sum()) < 2:
            continue
        excluded = above & (shares > shares[above].min())
        removed = set(ids[row][excluded].tolist())
        if not removed & xtc.protected:
            weights[row, excluded] = 0.0
    return weights


def _first_above(cumulative: Tensor, target: Tensor) -> Tensor:
    """Return the index where ``[rows, n]`` first exceeds ``[rows, 1]``, as ``[rows, 1]``.

    Never one whose own weight is zero, even when rounding has put the target at the very end.
    """
    last = (cumulative < cumulative[:, -1:]).sum(dim=-1, keepdim=True)
    return torch.minimum((cumulative <= target).sum(dim=-1, keepdim=True), last)
