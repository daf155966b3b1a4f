"""``GET /v1/engine/live``: what the engine does, step by step, while somebody watches.

Steps go into one bounded ring per listener; a listener who is late loses the oldest. Nobody's
words are in it, and requests appear under aliases: their real ids would tell every watcher which
replies belong to one session.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache

import msgspec

from engine.outputs import StepStats
from server.engine_port import EnginePort
from server.http.event_stream import event
from server.http.refusals import unavailable

MAX_LISTENERS = 16
RING_STEPS = 256
BUSY_INTERVAL_S = 0.1
IDLE_INTERVAL_S = 1.0
RATE_WINDOW_S = 2.0


class LiveListener:
    """One watcher's ring and token rate."""

    def __init__(self, now: float) -> None:
        self.arrived = asyncio.Event()
        self._steps: deque[msgspec.Raw] = deque(maxlen=RING_STEPS)
        self._dropped = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=8 * RING_STEPS)
        self._since = now
        self._lead = 0.0

    def engine_time(self, now: float) -> float:
        """Our ``now`` on the clock that the steps carry, as far as it is known."""
        return now + self._lead

    def push(self, step: msgspec.Raw, stats: StepStats, now: float) -> None:
        """Take one step, already encoded; a full ring drops its oldest."""
        self._lead = stats.time_s - now
        self._dropped += len(self._steps) == RING_STEPS
        self._steps.append(step)
        self._recent.append((now, stats.decode_tokens))
        self.arrived.set()

    def drain(self) -> tuple[list[msgspec.Raw], int]:
        """Hand over the ring's steps and how many were dropped since the last time."""
        drained = (list(self._steps), self._dropped)
        self._steps.clear()
        self._dropped = 0
        self.arrived.clear()
        return drained

    def tokens_per_second(self, now: float) -> float:
        """Decoded tokens per second over the last two seconds, or since the watcher came."""
        while self._recent and self._recent[0][0] <= now - RATE_WINDOW_S:
            self._recent.popleft()
        span = min(RATE_WINDOW_S, now - self._since)
        tokens = sum(count for _, count in self._recent)
        return round(tokens / span, 1) if span > 0 else 0.0


class LiveView:
    """Listens to the engine only while somebody watches, and encodes each step once."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine
        self._listeners: set[LiveListener] = set()
        self._unsubscribe: Callable[[], None] | None = None
        self._alias = make_alias()

    @property
    def num_listeners(self) -> int:
        """How many watch."""
        return len(self._listeners)

    async def watch(self, *, is_over: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
        """Yield frames as events: ten a second while anything runs, else one a second.

        Args:
            is_over: Asked before every frame; true ends the stream.

        Raises:
            HttpRefusal: 503 when too many watch already.
        """
        if len(self._listeners) >= MAX_LISTENERS:
            raise unavailable("too_many_listeners", f"{MAX_LISTENERS} watch already; try again")
        clock = asyncio.get_running_loop().time
        listener = LiveListener(clock())
        self._add(listener)
        try:
            while not is_over():
                yield event(self._frame(listener, clock()))
                try:
                    async with asyncio.timeout(IDLE_INTERVAL_S):
                        await listener.arrived.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(BUSY_INTERVAL_S)  # a hand of steps travels in one frame
        finally:
            self._remove(listener)

    def _frame(self, listener: LiveListener, now: float) -> dict[str, object]:
        steps, dropped = listener.drain()
        info = self._engine.info
        return {
            "t": listener.engine_time(now),
            "steps": steps,
            "dropped": dropped,
            "kv_blocks_total": info.num_blocks,
            "tokens_per_second": listener.tokens_per_second(now),
            "max_num_seqs": info.max_num_seqs,
        }

    def _add(self, listener: LiveListener) -> None:
        self._listeners.add(listener)
        if self._unsubscribe is None:
            self._unsubscribe = self._engine.add_step_listener(self._on_step)

    def _remove(self, listener: LiveListener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _on_step(self, stats: StepStats) -> None:
        encoded = msgspec.Raw(msgspec.json.encode(step_view(stats, self._alias)))
        now = asyncio.get_running_loop().time()
        for listener in self._listeners:
            listener.push(encoded, stats, now)


def make_alias() -> Callable[[str], str]:
    """Make a function that numbers request ids as they come: ``r1``, ``r2`` …, each for good.

    The last 4,096 are remembered, which is more than can be live at a time.
    """
    numbers = itertools.count(1)

    @lru_cache(maxsize=4096)
    def alias(request_id: str) -> str:
        return f"r{next(numbers)}"

    return alias


def step_view(stats: StepStats, alias: Callable[[str], str]) -> dict[str, object]:
    """One step as the wire shows it."""
    return {
        "step": stats.step,
        "t": stats.time_s,
        "ms": round(stats.duration_s * 1000, 3),
        "running": stats.num_running,
        "waiting": stats.num_waiting,
        "prefill_tokens": stats.prefill_tokens,
        "decode_tokens": stats.decode_tokens,
        "joined": [alias(request_id) for request_id in stats.joined],
        "left": [alias(request_id) for request_id in stats.left],
        "preempted": stats.num_preempted,
        "kv_blocks_used": stats.kv_blocks_used,
        "kv_blocks_cached": stats.kv_blocks_cached,
        "batch": [(alias(request_id), kind, count) for request_id, kind, count in stats.batch],
    }
