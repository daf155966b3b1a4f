"""Cuts a step's attention into pieces of equal kind: some queries, one stretch of keys.

Keys are cut into stretches of a fixed size, counted from a sequence's first token, so what a query
adds up never depends on who else is in the batch. Queries of different sequences whose blocks are
the same throughout a stretch become one piece: a prompt that many share is read once for all of
them, for as many such groups as there are. Each query has one place per stretch that it sees, for
the piece's result; merging them by their log-sum-exp gives its attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.gpu.layout import Ints

STRETCH = 256
"""Keys in a stretch."""


@dataclass(frozen=True, slots=True)
class WorkList:
    """What one launch of the attention kernel works off, and how its results are merged.

    Attributes:
        pieces: ``[pieces, 4]`` the place of the first query in ``order``, how many there are, the
            row of ``tables`` to read by, and the stretch.
        order: ``[places]`` tokens of the packed batch, those of a piece side by side.
        tables: ``[sequences, blocks]`` block ids, padded with 0.
        ends: ``[tokens]`` how many keys of its sequence each token sees.
        first_results: ``[tokens + 1]`` where each token's results begin.
        first_stretches: ``[tokens]`` the first stretch that each token sees.
    """

    pieces: Ints
    order: Ints
    tables: Ints
    ends: Ints
    first_results: Ints
    first_stretches: Ints

    @property
    def num_results(self) -> int:
        """Results of all tokens."""
        return int(self.first_results[-1])


def stretches_seen(ends: Ints, window: int | None) -> tuple[Ints, Ints]:
    """Return the first and the last stretch that tokens see.

    Args:
        ends: ``[tokens]`` how many keys of its sequence each sees.
        window: How many of the last ones; ``None`` for all.
    """
    lowest = np.zeros_like(ends) if window is None else np.maximum(ends - window, 0)
    return lowest // STRETCH, (ends - 1) // STRETCH


def plan_work(
    spans: Sequence[Span], *, window: int | None, most_queries: int, shares: bool = True
) -> WorkList:
    """Cut a step's attention into pieces.

    Args:
        spans: The sequences, in the order of their tokens.
        window: How many keys a query sees, itself included; ``None`` for all.
        most_queries: Tokens in a piece.
        shares: Whether sequences may share pieces.
    """
    counts = np.array([span.num_tokens for span in spans], dtype=np.int32)
    starts = np.array([span.start for span in spans], dtype=np.int32)
    firsts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    within = np.arange(firsts[-1], dtype=np.int32) - np.repeat(firsts[:-1], counts)
    ends = np.repeat(starts, counts) + within + 1
    first_stretches, last_stretches = stretches_seen(ends, window)
    num_stretches = last_stretches + 1 - first_stretches
    first_results = np.concatenate([[0], np.cumsum(num_stretches)]).astype(np.int32)
    tables = _tables(spans)
    single = counts == 1
    cuts = _Cuts(most_queries)
    _cut_decodes(cuts, np.flatnonzero(single), firsts, ends, first_stretches, tables, shares)
    for i in np.flatnonzero(~single):
        _cut_chunk(cuts, int(i), int(firsts[i]), int(counts[i]), ends, first_stretches)
    return WorkList(*cuts.together(), tables, ends, first_results, first_stretches)


class _Cuts:
    """Pieces as they are found.

    Args:
        most: Tokens in a piece.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._pieces: list[Ints] = []
        self._order: list[Ints] = []
        self._places = 0

    def add(self, tokens: Ints, groups: NDArray[np.int64], rows: Ints, stretch: int) -> None:
        """Add tokens that see a stretch.

        Args:
            tokens: Those of a group side by side.
            groups: Of each token, rising from 0.
            rows: Of each token, the row of the tables that it can be read by.
            stretch: Which.
        """
        sizes = np.bincount(groups)
        begins = np.cumsum(sizes) - sizes
        within = np.arange(len(tokens)) - begins[groups]
        firsts = np.flatnonzero(within % self.most == 0)  # a group too large is cut up
        pieces = np.empty((len(firsts), 4), dtype=np.int32)
        pieces[:, 0] = self._places + firsts
        pieces[:, 1] = np.diff(np.append(firsts, len(tokens)))
        pieces[:, 2] = rows[firsts]
        pieces[:, 3] = stretch
        self._pieces.append(pieces)
        self._order.append(tokens)
        self._places += len(tokens)

    def together(self) -> tuple[Ints, Ints]:
        """Return all pieces, and the tokens in their order."""
        return np.concatenate(self._pieces), np.concatenate(self._order)


def _tables(spans: Sequence[Span]) -> Ints:
    width = max(len(span.block_table) for span in spans)
    tables = np.zeros((len(spans), width), dtype=np.int32)
    for row, span in zip(tables, spans, strict=True):
        row[: len(span.block_table)] = span.block_table
    return tables


def _cut_decodes(
    cuts: _Cuts,
    sequences: NDArray[np.int64],
    firsts: Ints,
    ends: Ints,
    first_stretches: Ints,
    tables: Ints,
    shares: bool,
) -> None:
    """Group sequences with one new token each, stretch by stretch."""
    if not len(sequences):
        return
    if shares:  # those with a common beginning side by side
        sequences = sequences[_by_beginning(tables[sequences])]
    tokens = firsts[sequences]
    common = _common_stretches(tables[sequences], ends[tokens], shares)
    last = int((-(-ends[tokens] // STRETCH)).max())
    for stretch in range(last):
        sees = (first_stretches[tokens] <= stretch) & (ends[tokens] > stretch * STRETCH)
        joins = common > stretch
        joins[1:] &= sees[1:] & sees[:-1]
        runs = np.cumsum(~joins)[sees]
        if len(runs):
            groups = np.cumsum(np.diff(runs, prepend=runs[0]) != 0, dtype=np.int64)
            cuts.add(tokens[sees], groups, sequences[sees].astype(np.int32), stretch)


def _by_beginning(tables: Ints) -> NDArray[np.int64]:
    """Return an order in which rows that begin alike are neighbours.

    Whole stretches are compared as bytes: one comparison of memory for each pair of rows.
    """
    per = STRETCH // BLOCK_SIZE
    whole = np.ascontiguousarray(tables[:, : tables.shape[1] // per * per])
    if not whole.size:
        return np.arange(len(tables))
    return np.argsort(whole.view(f"V{whole.shape[1] * whole.itemsize}")[:, 0], kind="stable")


def _common_stretches(tables: Ints, ends: Ints, shares: bool) -> Ints:
    """For each sequence, how many whole stretches it can read with the one before it."""
    common = np.zeros(len(tables), dtype=np.int32)
    if shares and len(tables) > 1:
        per = STRETCH // BLOCK_SIZE
        width = tables.shape[1] // per * per
        same = tables[1:, :width] == tables[:-1, :width]
        whole = same.reshape(len(same), -1, per).all(axis=2)
        leading = np.cumprod(whole, axis=1).sum(axis=1)
        common[1:] = np.minimum(leading, np.minimum(ends[1:], ends[:-1]) // STRETCH)
    return common


def _cut_chunk(
    cuts: _Cuts, sequence: int, first: int, count: int, ends: Ints, first_stretches: Ints
) -> None:
    """Cut a prompt chunk into runs of queries, and each run's keys into stretches."""
    for begin in range(first, first + count, cuts.most):
        tokens = np.arange(begin, min(begin + cuts.most, first + count), dtype=np.int32)
        last = -(-int(ends[tokens[-1]]) // STRETCH)
        for stretch in range(int(first_stretches[tokens[0]]), last):
            sees = (ends[tokens] > stretch * STRETCH) & (first_stretches[tokens] <= stretch)
            seeing = tokens[sees]
            one = np.zeros(len(seeing), dtype=np.int64)
            cuts.add(seeing, one, np.full(len(seeing), sequence, dtype=np.int32), stretch)
