"""Cuts a step's attention into pieces of equal kind: some queries, one stretch of keys.

Keys are cut into stretches of a fixed size, counted from a sequence's first token, so what a query
adds up never depends on who else is in the batch. Queries of different sequences whose blocks are
the same throughout a stretch become one piece: a prompt that many share is read once for all of
them, for as many such groups as there are. Each query has one slot per stretch that it sees, for
the piece's result; merging them by their log-sum-exp gives its attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE

Ints = NDArray[np.int32]

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
        first_slots: ``[tokens + 1]`` where each token's slots begin.
        first_stretches: ``[tokens]`` the first stretch that each token sees.
    """

    pieces: Ints
    order: Ints
    tables: Ints
    ends: Ints
    first_slots: Ints
    first_stretches: Ints

    @property
    def num_slots(self) -> int:
        """Slots of all tokens."""
        return int(self.first_slots[-1])


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
    ends = np.concatenate(
        [np.arange(s + 1, s + n + 1) for s, n in zip(starts, counts, strict=True)]
    ).astype(np.int32)
    lowest = np.zeros_like(ends) if window is None else np.maximum(ends - window, 0)
    first_stretches = (lowest // STRETCH).astype(np.int32)
    num_stretches = -(-ends // STRETCH) - first_stretches
    first_slots = np.concatenate([[0], np.cumsum(num_stretches)]).astype(np.int32)
    tables = _tables(spans)
    single = counts == 1
    found = [_decode_pieces(np.flatnonzero(single), firsts, ends, first_stretches, tables, shares)]
    found += [
        _chunk_pieces(int(i), int(firsts[i]), int(counts[i]), ends, first_stretches, most_queries)
        for i in np.flatnonzero(~single)
    ]
    pieces, order = _lay_out([group for groups in found for group in groups], most_queries)
    return WorkList(pieces, order, tables, ends, first_slots, first_stretches)


_Group = tuple[Ints, int, int]
"""Tokens, the row of ``tables`` to read by, and the stretch."""


def _tables(spans: Sequence[Span]) -> Ints:
    width = max(len(span.block_table) for span in spans)
    tables = np.zeros((len(spans), width), dtype=np.int32)
    for row, span in zip(tables, spans, strict=True):
        row[: len(span.block_table)] = span.block_table
    return tables


def _decode_pieces(
    sequences: NDArray[np.int64],
    firsts: Ints,
    ends: Ints,
    first_stretches: Ints,
    tables: Ints,
    shares: bool,
) -> list[_Group]:
    """Group sequences with one new token each, stretch by stretch."""
    if not len(sequences):
        return []
    if shares:  # those with a common beginning side by side
        keys = tables[sequences]
        sequences = sequences[np.lexsort(keys.T[::-1])]
    tokens = firsts[sequences]
    common = _common_stretches(tables[sequences], ends[tokens], shares)
    groups = []
    last = int((-(-ends[tokens] // STRETCH)).max())
    for stretch in range(last):
        sees = (first_stretches[tokens] <= stretch) & (ends[tokens] > stretch * STRETCH)
        joins = common > stretch
        joins[1:] &= sees[1:] & sees[:-1]
        run = np.cumsum(~joins)
        present = np.flatnonzero(sees)
        if not len(present):
            continue
        cuts = np.flatnonzero(np.diff(run[present])) + 1
        groups += [
            (tokens[part], int(sequences[part[0]]), stretch) for part in np.split(present, cuts)
        ]
    return groups


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


def _chunk_pieces(
    sequence: int, first: int, count: int, ends: Ints, first_stretches: Ints, most_queries: int
) -> list[_Group]:
    """Cut a prompt chunk into runs of queries, and each run's keys into stretches."""
    groups = []
    for begin in range(first, first + count, most_queries):
        tokens = np.arange(begin, min(begin + most_queries, first + count), dtype=np.int32)
        last = -(-int(ends[tokens[-1]]) // STRETCH)
        for stretch in range(int(first_stretches[tokens[0]]), last):
            sees = (ends[tokens] > stretch * STRETCH) & (first_stretches[tokens] <= stretch)
            groups.append((tokens[sees], sequence, stretch))
    return groups


def _lay_out(groups: Sequence[_Group], most_queries: int) -> tuple[Ints, Ints]:
    """Cut groups that are too large, and put all side by side."""
    pieces, order = [], []
    place = 0
    for tokens, row, stretch in groups:
        for begin in range(0, len(tokens), most_queries):
            part = tokens[begin : begin + most_queries]
            pieces.append((place, len(part), row, stretch))
            order.append(part)
            place += len(part)
    return np.array(pieces, dtype=np.int32), np.concatenate(order).astype(np.int32)
