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
from collections.abc import Callable

from engine.cost_model import StepCostModel, StepShape
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import StepPlan
from engine.request import Request, RequestStatus
from engine.scheduler.batch import Batch
from engine.scheduler.ends import Ends
from engine.scheduler.pacer import spare_s
from engine.scheduler.waiting import WaitingQueue

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


class Pressure:
    """Gets blocks for the streams that decode, from others if need be, and brings those back.

    Args:
        kv_cache: The ledger.
        batch: Who may lose blocks.
        queue: Where those wait who lost them for good.
        ends: Says how long a stream goes on.
        cost_model: Says what reading a stream again takes.
        pauses: Whether listeners are looked at.
        leave_batch: Takes a request and its blocks out of the batch.

    Attributes:
        num_pauses: Streams so far that were paused.
    """

    def __init__(
        self,
        kv_cache: KVCacheManager,
        batch: Batch,
        queue: WaitingQueue,
        ends: Ends,
        cost_model: StepCostModel,
        *,
        pauses: bool,
        leave_batch: Callable[[Request], None],
    ) -> None:
        self._kv_cache = kv_cache
        self._batch = batch
        self._queue = queue
        self._ends = ends
        self._cost_model = cost_model
        self._victims = Victims(batch, pauses=pauses)
        self._leave_batch = leave_batch
        self._paused = Paused()
        self._stalled: list[Request] = []  # asleep for want of a block that a step holds back
        self.num_pauses = 0

    @property
    def num_paused(self) -> int:
        """Streams that are paused now."""
        return len(self._paused)

    def forget_paused(self, request: Request) -> None:
        """Count out a paused stream that has been ended; its status changes next."""
        self._paused.remove(request)

    def bring_back(self, now: float) -> None:
        """Let streams go on that were paused or stalled, and whose time has come."""
        stalled, self._stalled = self._stalled, []
        for request in stalled:
            if request.status is not RequestStatus.ASLEEP:
                continue
            if self._batch.has_row:
                self._batch.wake(request, self._ends.longest(request))
            else:
                self._stalled.append(request)
        if len(self._paused):
            is_idle = not len(self._batch) and not len(self._queue)
            for request in self._paused.take_due(now, everybody=is_idle):
                request.status = RequestStatus.PREEMPTED
                self._queue.push(request)

    def grow_decodes(self, plan: StepPlan, now: float) -> None:
        """Get blocks for the streams that begin one in this step, best ranks first."""
        growing = self._batch.decodes.growing()
        growing.sort(key=lambda entry: entry[0].key)
        spared: set[int] = set()
        for request, num_tokens in growing:
            if request.status is not RequestStatus.DECODING:
                continue  # lost its blocks to somebody before it
            blocks = self._grow(request, num_tokens, spared, plan, now)
            if blocks:
                spared.add(request.slot)
                plan.new_blocks.append((request.slot, blocks))

    def _grow(
        self, request: Request, num_tokens: int, spared: set[int], plan: StepPlan, now: float
    ) -> list[int] | None:
        kv_cache = self._kv_cache
        while (blocks := kv_cache.grow(request.request_id, num_tokens)) is None:
            if kv_cache.num_deferred_blocks > len(self._stalled):
                self._batch.sleep(request)  # a block comes free with the step in flight
                self._stalled.append(request)
                return None
            victim, pauses = self._victims.choose(request, spared, now)
            self._take_blocks(victim, plan, pauses=pauses)
            if victim is request:
                return None
        return blocks

    def _take_blocks(self, request: Request, plan: StepPlan, *, pauses: bool) -> None:
        request.num_lost_tokens = max(request.num_lost_tokens, request.num_computed_tokens)
        self._leave_batch(request)
        request.num_computed_tokens = 0
        plan.preempted.append(request.request_id)
        if not pauses:
            request.status = RequestStatus.PREEMPTED
            self._queue.push(request)
            return
        assert request.playback is not None
        self.num_pauses += 1
        again_s = self._cost_model.predict(StepShape(0, request.num_tokens, 0))
        runs_dry_at, reserve_s = request.playback.runs_dry_at, request.playback.reserve_s
        request.key = (runs_dry_at, request.sequence_number)
        self._paused.add(request, runs_dry_at - reserve_s - 2 * again_s)
