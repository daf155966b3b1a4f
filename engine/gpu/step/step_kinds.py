"""Kinds of steps that a graph is captured for, and which graph a step is replayed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from engine.gpu.step.capture import MOST_RESULTS, MOST_TOKENS, RARE
from engine.gpu.step.slot_step import StepSizes

_PATIENCE = 16
"""Steps for which a larger graph stands in before one of the right size is captured."""
_LARGEST_STAND_IN = 4
"""How many times a step's own results a stand-in may have."""


@dataclass(frozen=True, slots=True)
class StepKind:
    """What a graph is captured for.

    Attributes:
        sizes: Of its parts.
        samples: Whether anybody gets a next token.
        changes: Whether logits may be changed before (penalties, bans, grammars).
        filters: Whether tokens may be left out of the draw (top-k, top-p, min-p, XTC).
        reports: Whether log probabilities are wanted.
    """

    sizes: StepSizes
    samples: bool
    changes: bool = False
    filters: bool = False
    reports: bool = False

    @property
    def may_be_captured(self) -> bool:
        """Whether that is worth its memory."""
        work = self.sizes.work
        return work.tokens <= MOST_TOKENS and work.results <= MOST_RESULTS

    def stands_in_for(self, wanted: StepKind) -> bool:
        """Whether a graph of this kind computes all that another would, and not much more."""
        for name in ("samples", "changes", "filters", "reports"):
            if getattr(wanted, name) and not getattr(self, name):
                return False
        mine, others = self.sizes, wanted.sizes
        return others.fits(mine) and mine.work.results <= _LARGEST_STAND_IN * others.work.results


class KindChooser:
    """Says which graph a step is replayed from.

    A graph of the very kind, if there is one. Else a larger one that can stand in, or none, for a
    while: capturing takes as long as many steps, and kinds that come once should not cost that.
    """

    def __init__(self) -> None:
        self._wanted: Counter[StepKind] = Counter()

    def choose(self, wanted: StepKind, captured: Collection[StepKind]) -> StepKind | None:
        """Return a kind that is captured, or the wanted one if it is to be captured now.

        ``None`` where the step is better launched as it comes.
        """
        if wanted in captured:
            return wanted
        self._wanted[wanted] += 1
        if self._wanted[wanted] <= _PATIENCE:
            able = [kind for kind in captured if kind.stands_in_for(wanted)]
            if able:
                return min(
                    able, key=lambda k: (k.reports, k.changes, k.filters, k.sizes.work.results)
                )
        if self._wanted[wanted] <= RARE:
            return None
        del self._wanted[wanted]
        return wanted
