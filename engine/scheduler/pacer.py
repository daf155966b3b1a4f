"""Streams that are ahead of their listeners make room for those who wait for a first token.

A stream with a comfortable lead sleeps while somebody's first token is at risk, and never
otherwise; it wakes before its lead falls below the reserve. This moves deadlines about. It creates
no throughput: a step with fewer rows is shorter, and a row that is left out is free for somebody
else.
"""

from __future__ import annotations

import heapq

from engine.request import Request, RequestStatus
from engine.scheduler.batch import Batch

MIN_GAIN_S = 0.2
"""Seconds that a sleep must last at least to be worth it."""
MAX_STEP_S = 0.25
"""A step may take this long, and no longer, when every stream can spare it."""


class Pacer:
    """Decides who sleeps.

    Attributes:
        spare_s: What every stream that decodes could spare, while a first token is at risk; else 0.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._sleepers: list[tuple[float, int, Request]] = []
        self.spare_s = 0.0

    def wake_due(self, now: float, *, horizon_s: float, everybody: bool) -> list[Request]:
        """Return sleepers whose time has come, the most urgent first; they are the caller's.

        Args:
            now: Seconds.
            horizon_s: How far ahead is looked: a step, or two.
            everybody: Whether nobody has to sleep any longer.
        """
        due: list[Request] = []
        while self._sleepers and (everybody or self._sleepers[0][0] <= now + horizon_s):
            _, _, request = heapq.heappop(self._sleepers)
            if request.status is RequestStatus.ASLEEP:
                due.append(request)
        return due

    def put_to_sleep(self, now: float) -> None:
        """Let streams with a comfortable lead sleep, and note what all others could spare."""
        least = MAX_STEP_S
        for request in self._batch.decodes.requests:
            spare = spare_s(request, now)
            if spare >= MIN_GAIN_S:
                self.sleep(request, now + spare)
            else:
                least = min(least, spare)
        self.spare_s = max(0.0, least)

    def sleep(self, request: Request, wake_at: float) -> None:
        """Let a decoding stream sleep."""
        self._batch.sleep(request)
        self.keep_asleep(request, wake_at)

    def keep_asleep(self, request: Request, wake_at: float) -> None:
        """Look at a sleeping stream again at this time."""
        heapq.heappush(self._sleepers, (wake_at, request.sequence_number, request))

    def replace(self, urgent: Request, now: float) -> bool:
        """Find a row for a stream that has to wake, by letting one sleep that is further ahead.

        Returns:
            Whether there was one; it sleeps now.
        """
        leads = [(spare_s(r, now), r.sequence_number, r) for r in self._batch.decodes.requests]
        most, _, ahead = max(leads, default=(0.0, 0, None))
        if ahead is None or most < MIN_GAIN_S + max(0.0, spare_s(urgent, now)):
            return False
        self.sleep(ahead, now + most)
        return True


def spare_s(request: Request, now: float) -> float:
    """Seconds that a stream's listener could do without it; 0 where nobody is known to listen."""
    playback = request.playback
    if playback is None or not playback.has_begun:
        return 0.0
    return playback.lead_s(now) - playback.reserve_s
