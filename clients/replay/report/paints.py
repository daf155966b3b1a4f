"""Which colour a run has: its target's where there are several, else its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clients.replay.charts import COLOURS
from clients.replay.metrics import Figures
from clients.replay.records import RunRecord

Measured = Sequence[tuple[RunRecord, Figures]]


@dataclass(frozen=True, slots=True)
class Paint:
    """How the curves of one run are told from those of the others; see ``charts.Line``."""

    colour: int
    shade: int


def paints(measured: Measured) -> list[Paint]:
    """Return how each run is drawn.

    With several targets, runs of one share its colour and grow paler; with one target, each run
    has its own colour, and where colours begin again they are paler.
    """
    targets = list(dict.fromkeys(run.target for run, _ in measured))
    if len(targets) < 2:
        count = len(COLOURS)
        return [Paint(number % count, number // count) for number in range(len(measured))]
    seen: Counter[str] = Counter()
    drawn = []
    for run, _ in measured:
        drawn.append(Paint(targets.index(run.target), seen[run.target]))
        seen[run.target] += 1
    return drawn
