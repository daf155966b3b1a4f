"""From the engine's step to one response's writer: deltas in, merged for a reader who is late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from engine.outputs import RequestDelta, join_deltas


class DeltaFeed:
    """Holds what the engine made until the writer takes it.

    It needs no bound of its own: the engine ends each request at ``max_tokens`` or at the
    context's end. A reader who keeps up gets one delta per step; one who does not gets the
    steps that it missed in one piece.
    """

    def __init__(self) -> None:
        self._pending: list[RequestDelta] = []
        self._arrived = asyncio.Event()
        self._is_quiet = False

    def push(self, delta: RequestDelta) -> None:
        """Take what one step brought; called on the event loop, never blocks."""
        self._is_quiet = False
        self._pending.append(delta)
        self._arrived.set()

    async def take(self) -> RequestDelta | None:
        """Wait for news and return all of it as one delta; the terminal one comes last.

        Returns:
            ``None`` when there was nothing for a while; see ``ticking``.
        """
        await self._arrived.wait()
        self._arrived.clear()
        taken, self._pending = self._pending, []
        return join_deltas(taken) if taken else None

    @contextmanager
    def ticking(self, interval_s: float) -> Iterator[None]:
        """Wake the writer with ``None`` at each end of an interval in which nothing came.

        One timer for the whole reply: a timeout around each ``take`` would cost more than it.
        """
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def tick() -> None:
            nonlocal timer
            if self._is_quiet:
                self._arrived.set()
            self._is_quiet = True
            timer = loop.call_later(interval_s, tick)

        self._is_quiet = True
        timer = loop.call_later(interval_s, tick)
        try:
            yield
        finally:
            timer.cancel()
