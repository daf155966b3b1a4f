"""Plans a step's attention for every window that a model's layers have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.attention.metadata import Span
from engine.gpu.attention.device_work import LARGE_ROWS, WorkSizes, is_small
from engine.gpu.attention.piece_costs import PieceCosts
from engine.gpu.attention.work_list import WorkList, plan_work


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """A work list, and which tile each of its pieces goes to.

    Attributes:
        work: Pieces and where their results go.
        small: ``[pieces]`` whether it goes to the small tile.
    """

    work: WorkList
    small: NDArray[np.bool_]

    @property
    def num_small(self) -> int:
        """Pieces for the small tile."""
        return int(self.small.sum())

    @property
    def num_large(self) -> int:
        """Pieces for the large one."""
        return len(self.small) - self.num_small


class WorkPlanner:
    """Plans for one model on one device.

    Args:
        windows: The windows that its layers have.
        heads: Query heads.
        kv_heads: Key heads.
        one_tile: Whether all pieces are computed by the large tile: matrix units may round
            differently for a smaller one, and a token's bits would depend on its batch.
        costs: See below.

    Attributes:
        windows: As given, each once.
        share: Query heads per key head.
        one_tile: As given.
        shares: Whether sequences with a common beginning may read it together.
        costs: What decides whether they do; ``None`` has them do so whenever they can.
    """

    def __init__(
        self,
        windows: Sequence[int | None],
        heads: int,
        kv_heads: int,
        *,
        one_tile: bool = False,
        costs: PieceCosts | None = None,
    ) -> None:
        self.windows = tuple(dict.fromkeys(windows))
        self.share = heads // kv_heads
        self.one_tile = one_tile
        self.shares = True
        self._kv_heads = kv_heads
        self.costs = costs

    @property
    def most_queries(self) -> int:
        """Tokens that the large tile takes."""
        return max(1, LARGE_ROWS // self.share)

    def plan(self, spans: Sequence[Span]) -> dict[int | None, PlannedWork]:
        """Return the work of every window."""
        return {window: self._plan(spans, window) for window in self.windows}

    def _plan(self, spans: Sequence[Span], window: int | None) -> PlannedWork:
        together = self._cut(spans, window, shares=self.shares)
        if self.costs is None or not self.shares:
            return together
        apart = self._cut(spans, window, shares=False)
        if len(apart.work.pieces) == len(together.work.pieces):
            return together
        times = [
            self.costs.seconds(p.num_small * self._kv_heads, p.num_large * self._kv_heads)
            for p in (together, apart)
        ]
        return together if times[0] <= times[1] else apart

    def _cut(self, spans: Sequence[Span], window: int | None, *, shares: bool) -> PlannedWork:
        work = plan_work(spans, window=window, most_queries=self.most_queries, shares=shares)
        return PlannedWork(work, is_small(work, self.share, one_tile=self.one_tile))


def sizes_of(works: Sequence[PlannedWork]) -> WorkSizes:
    """Return what the work lists of a step all fit, just so."""
    return WorkSizes(
        tokens=len(works[0].work.ends),
        small=max(planned.num_small for planned in works),
        large=max(planned.num_large for planned in works),
        results=max(planned.work.num_results for planned in works),
    )
