"""Waiting for something to become true, with an end to patience."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, patience_s: float = 30.0) -> None:
    """Return once ``condition()`` holds; ``TimeoutError`` after ``patience_s`` on the loop's clock.

    For real processes and sockets, which offer no event to wait for.
    """
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
