"""What is given up when a stream needs a block and there is none.

The ledger has already given up cached prefixes and then warm conversations (`engine.kv_cache`).
What is left is to take blocks from the living, in this order:

1. *Pause* the stream that is furthest ahead of its listener, who does not notice: it comes back
   before they run dry. Not under ``fcfs``, which knows no listeners.
2. *Preempt* the request of lowest rank. It is computed again when there is room.

Nobody who was given a block in the same step is chosen, so that a plan is never taken back.
"""

from __future__ import annotations

import heapq

from engine.request import Request, RequestStatus
from engine.scheduler.batch import Batch
from engine.scheduler.pacer import spare_s

MIN_SPARE_S = 1.0
"""Seconds of lead beyond the reserve that make a pause worth reading everything again."""


class Victims:
    """Chooses who loses blocks."""

    def __init__(self, batch: Batch, *, pauses: bool) -> None:
        self._batch = batch
        self._pauses = pauses

    def choose(self, needy: Request, spared: set[int], now: float) -> tuple[Request, bool]:
        """Return who gives up their blocks for ``needy``, perhaps itself, and whether they pause.

        Args:
            needy: Needs a block.
            spared: Slots that were given blocks in this step.
            now: Seconds.
        """
        lowest, ahead, most = needy, needy, 0.0
        for request in self._batch.slots.holders():
            if request.status is RequestStatus.ENDING or request.slot in spared:
                continue
            if request.key > lowest.key:
                lowest = request
            if request.status is not RequestStatus.EXTENDING and spare_s(request, now) > most:
                ahead, most = request, spare_s(request, now)
        if self._pauses and most >= MIN_SPARE_S:
            return ahead, True
        return lowest, False


class Paused:
    """Streams without blocks that are due back before their listeners run dry."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Request]] = []
        self._num_paused = 0

    def __len__(self) -> int:
        """How many there are."""
        return self._num_paused

    def add(self, request: Request, due_at: float) -> None:
        """Let a stream wait until this time."""
        request.status = RequestStatus.PAUSED
        self._num_paused += 1
        heapq.heappush(self._heap, (due_at, request.sequence_number, request))

    def remove(self, request: Request) -> None:
        """Count out one that has been ended; its status changes next."""
        self._num_paused -= 1

    def take_due(self, now: float, *, everybody: bool) -> list[Request]:
        """Return those whose time has come, or all of them when there is room again."""
        due = []
        while self._heap and (everybody or self._heap[0][0] <= now):
            _, _, request = heapq.heappop(self._heap)
            if request.status is RequestStatus.PAUSED:
                self._num_paused -= 1
                due.append(request)
        return due
