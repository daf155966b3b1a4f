"""An event loop whose clock jumps instead of sleeping (after trio's MockClock).

Real file descriptors are polled as ever. When none is ready and a timer is armed, time moves to the
timer at once; an hour of keepalive costs milliseconds. ``loop.time()`` is the virtual time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

_GRACE_S = 0.001
"""Real seconds a descriptor gets to become ready before time may jump."""

_DEADLOCK_S = 10.0
"""Real seconds of silence, with no timer armed, after which the test has deadlocked."""

_Ready = list[tuple[selectors.SelectorKey, int]]


class _JumpingSelector(selectors.BaseSelector):
    """Polls real descriptors; when none is ready, moves the virtual clock by the timeout."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> _Ready:
        """Return what is ready, or let ``timeout`` virtual seconds pass."""
        if timeout is None:
            return self._wait_for_others()
        ready = self._inner.select(0 if timeout <= 0 else _GRACE_S)
        if not ready and timeout > 0:
            self.now += timeout
        return ready

    def _wait_for_others(self) -> _Ready:
        ready = self._inner.select(_DEADLOCK_S)
        if not ready:
            raise RuntimeError("every task waits and no timer is armed: deadlock")
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.get_key(fileobj)

    def close(self) -> None:
        self._inner.close()


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """The loop that tests of timing run on."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now
