"""Who tells a server to stop, and how urgently."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator


class StopSignal:
    """Two steps of being told to stop: finish what runs, and leave at once."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()

    def ask(self) -> None:
        """Stop; a second time means at once."""
        (self._hurried if self._asked.is_set() else self._asked).set()

    @property
    def is_asked(self) -> bool:
        """Whether it was asked for."""
        return self._asked.is_set()

    @property
    def is_hurried(self) -> bool:
        """Whether it was asked for twice."""
        return self._hurried.is_set()

    async def wait(self) -> None:
        """Wait until it is asked for."""
        await self._asked.wait()


@contextlib.contextmanager
def signals(stop: StopSignal) -> Iterator[None]:
    """Have SIGTERM and SIGINT ask for the end meanwhile; where that can be had, not in a thread."""
    loop = asyncio.get_running_loop()
    handled = (signal.SIGTERM, signal.SIGINT)
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in handled:
            loop.add_signal_handler(number, stop.ask)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for number in handled:
                loop.remove_signal_handler(number)
