"""Draws one token from each row of logits: temperature, top-k, top-p, min-p, XTC, one number.

The full vocabulary is neither sorted nor drawn from by a general multinomial: each costs more than
the whole step of a small model. The likeliest 64 tokens are taken first, then more, and everything
is sorted only for a row whose filters reach further than that, so the result is exact. The draw is
one uniform number per row through the inverse of the cumulative distribution: over the tokens in
the vocabulary's order, or, where something is filtered, in the order of their likelihood.

Running sums are taken along the row, and nothing is reduced in an order that the number of rows
could change. `engine/native/src/draw.h` does the same for a CPU, in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_PRESELECT = (64, 1024, 8192)
_DRAW_BLOCK = 128


class DrawRow(NamedTuple):
    """What one row's draw depends on beside its logits.

    Attributes:
        temperature: Above 0.
        top_k: From 1 to the vocabulary's size, which keeps all.
        top_p: 1 keeps all.
        min_p: 0 keeps all.
        xtc_threshold: Set where XTC acts on this token.
        protected: Tokens that XTC must not exclude.
        uniform: The number, in [0, 1).
    """

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    xtc_threshold: float | None
    protected: frozenset[int]
    uniform: float

    def is_filtered(self, vocab: int) -> bool:
        """Whether some tokens may be left out."""
        few = self.top_k < vocab or self.top_p < 1.0 or self.min_p > 0.0
        return few or self.xtc_threshold is not None


Draw = Callable[[Tensor, Sequence[DrawRow]], Sequence[int]]
"""Takes ``[rows, vocab]`` float32 logits, finite or minus infinity, and what each row asks for;
returns a token for each."""


def draw(logits: Tensor, rows: Sequence[DrawRow]) -> list[int]:
    """Draw from each row; a `Draw` in torch, on any device."""
    columns = _Columns.of(rows, logits.device)
    # the largest logit becomes 0 first, so that no temperature can overflow
    scaled = (logits - logits.amax(dim=-1, keepdim=True)) / columns.temperature
    probabilities = torch.softmax(scaled, dim=-1)
    vocab = logits.shape[1]
    token_ids = [-1] * len(rows)
    whole = [i for i, row in enumerate(rows) if not row.is_filtered(vocab)]
    if whole:
        weights = probabilities if len(whole) == len(rows) else probabilities[whole]
        chosen = _draw_whole(weights, columns.uniform[whole])
        for i, token in zip(whole, chosen, strict=True):
            token_ids[i] = token
    pending = [i for i, row in enumerate(rows) if row.is_filtered(vocab)]
    for size in (*(size for size in _PRESELECT if size < vocab), vocab):
        if not pending:
            break
        top, ids = torch.topk(probabilities[pending], size)
        drawn = _draw_sorted(top, ids, [rows[i] for i in pending], columns.select(pending), vocab)
        for i, token_id in zip(pending, drawn, strict=True):
            if token_id is not None:
                token_ids[i] = token_id
        pending = [i for i, token_id in zip(pending, drawn, strict=True) if token_id is None]
    return token_ids


class _Columns(NamedTuple):
    """The rows' numbers, each ``[rows, 1]``."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    uniform: Tensor

    @classmethod
    def of(cls, rows: Sequence[DrawRow], device: torch.device) -> _Columns:
        def column(values: list[float], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)[:, None]

        return cls(
            temperature=column([row.temperature for row in rows], torch.float32),
            top_k=column([row.top_k for row in rows], torch.int64),
            top_p=column([row.top_p for row in rows], torch.float64),
            min_p=column([row.min_p for row in rows], torch.float32),
            uniform=column([row.uniform for row in rows], torch.float64),
        )

    def select(self, rows: Sequence[int]) -> _Columns:
        return _Columns(*(column[rows] for column in self))


def _draw_whole(weights: Tensor, uniform: Tensor) -> list[int]:
    """Draw from unfiltered rows, in the vocabulary's order: first a block of tokens, then one."""
    padded = functional.pad(weights, (0, -weights.shape[1] % _DRAW_BLOCK))
    blocks = padded.view(len(weights), -1, _DRAW_BLOCK)
    mass = torch.cumsum(blocks.sum(dim=-1).double(), dim=-1)
    target = uniform * mass[:, -1:]
    block = _first_above(mass, target)
    before = torch.where(
        block > 0, mass.gather(1, (block - 1).clamp_min(0)), torch.zeros_like(target)
    )
    inner = blocks.gather(1, block[:, :, None].expand(-1, -1, _DRAW_BLOCK))[:, 0]
    token = _first_above(torch.cumsum(inner.double(), dim=-1), target - before)
    return [int(i) for i in (block * _DRAW_BLOCK + token)[:, 0].tolist()]


def _draw_sorted(
    top: Tensor, ids: Tensor, rows: Sequence[DrawRow], columns: _Columns, vocab: int
) -> list[int | None]:
    """Draw from filtered rows.

    Args:
        top: ``[rows, size]`` the largest probabilities, descending.
        ids: Their tokens.
        rows: What they ask for.
        columns: The same.
        vocab: How many tokens there are in all.

    Returns:
        A token per row; ``None`` where the filters may reach further than ``size``.
    """
    size = top.shape[1]
    rank = torch.arange(size, device=top.device)
    limited = columns.top_k <= size  # the distribution after top-k is all here
    unlimited = columns.top_k >= vocab  # or there is no top-k, and its mass is known to be one
    weights = top.masked_fill(rank >= columns.top_k, 0.0).double()
    mass = torch.cumsum(weights, dim=-1)
    total = torch.where(limited, mass[:, -1:], torch.ones_like(mass[:, -1:]))
    bound = columns.top_p * total
    nucleus_reached = unlimited & (columns.top_p < 1.0) & (mass[:, -1:] >= bound)
    floor = columns.min_p * top[:, :1]
    floor_reached = (unlimited | (columns.top_p >= 1.0)) & (top[:, -1:] < floor)
    enough = limited | nucleus_reached | floor_reached
    # the smallest set that reaches p: a token stays while those before it have not reached p
    outside = (mass - weights >= bound) & (columns.top_p < 1.0) & (rank > 0)
    weights = weights.masked_fill(outside | (top < floor), 0.0)
    weights = _exclude_top_choices(weights, ids, rows)
    cumulative = torch.cumsum(weights, dim=-1)
    place = _first_above(cumulative, columns.uniform * cumulative[:, -1:])
    tokens = ids.gather(1, place)[:, 0].tolist()
    return [
        int(token) if fine else None
        for token, fine in zip(tokens, enough[:, 0].tolist(), strict=True)
    ]


def _exclude_top_choices(weights: Tensor, ids: Tensor, rows: Sequence[DrawRow]) -> Tensor:
    """XTC (p-e-w, text-generation-webui #6335; llama.cpp `llama_sampler_xtc_apply`).

    Of the tokens that are at least ``threshold`` likely after the filters, all but the least likely
    are excluded. As in text-generation-webui, a row is left alone when an end token would be among
    them: otherwise the surest end of a reply would be the one that never comes.
    """
    if all(row.xtc_threshold is None for row in rows):
        return weights
    weights = weights.clone()
    for i, row in enumerate(rows):
        if row.xtc_threshold is None:
            continue
        shares = weights[i] / torch.cumsum(weights[i], dim=-1)[-1]
        above = (shares >= row.xtc_threshold) & (shares > 0)
        if int(above.sum()) < 2:
            continue
        excluded = above & (shares > shares[above].min())
        if row.protected.isdisjoint(ids[i][excluded].tolist()):
            weights[i, excluded] = 0.0
    return weights


def _first_above(cumulative: Tensor, target: Tensor) -> Tensor:
    """Return the index where ``[rows, n]`` first exceeds ``[rows, 1]``, as ``[rows, 1]``.

    Never one whose own weight is zero, even when rounding has put the target at the very end.
    """
    last = (cumulative < cumulative[:, -1:]).sum(dim=-1, keepdim=True)
    return torch.minimum((cumulative <= target).sum(dim=-1, keepdim=True), last)
