"""Lanes that take their time: chance decides which of them does its next piece of work.

Whatever such lanes may do in any order, a GPU's streams may do as well.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from engine.attention.lanes import Lanes


@dataclass
class _Mark:
    reached: bool = False


class SlowLane:
    """Work that waits for its turn."""

    def __init__(self) -> None:
        self._work: deque[Callable[[], object] | _Mark] = deque()

    def run(self, work: Callable[[], object]) -> None:
        self._work.append(work)

    def mark(self) -> _Mark:
        mark = _Mark()

        def reach() -> None:
            mark.reached = True

        self._work.append(reach)
        return mark

    def wait(self, mark: _Mark | None) -> None:
        if mark is not None:
            self._work.append(mark)

    @property
    def can_go_on(self) -> bool:
        """Whether there is something to do that waits for nobody."""
        if not self._work:
            return False
        head = self._work[0]
        return head.reached if isinstance(head, _Mark) else True

    def go_on(self) -> None:
        """Do the next piece of work."""
        head = self._work.popleft()
        if not isinstance(head, _Mark):
            head()

    @property
    def is_done(self) -> bool:
        return not self._work


class SlowLanes:
    """Three lanes, and the chance that drives them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.computing, self.outward, self.inward = (SlowLane() for _ in range(3))
        self.lanes = Lanes(self.computing, self.outward, self.inward)

    def go_on(self, steps: int | None = None) -> None:
        """Do so many pieces of work, or all."""
        every = (self.computing, self.outward, self.inward)
        while steps is None or steps > 0:
            able = [lane for lane in every if lane.can_go_on]
            if not able:
                assert steps is not None or all(lane.is_done for lane in every), "a deadlock"
                return
            self._rng.choice(able).go_on()
            steps = None if steps is None else steps - 1
