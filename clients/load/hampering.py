"""A listener who stops reading for a while, or reads slowly: faults of the reading side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from clients.replay.script import Fault

_SLOW_PAUSE_S = 0.2
"""A slow reader takes what is there so often."""


async def hamper(pause: Callable[[], None], resume: Callable[[], None], fault: Fault) -> None:
    """Stop reading for as long as a fault lasts.

    Args:
        pause: Stops reading.
        resume: Goes on; harmless on a connection that is gone.
        fault: ``stall`` takes nothing meanwhile, ``slow_read`` a little now and then.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + fault.for_s
    pause()
    try:
        while fault.kind == "slow_read" and loop.time() + _SLOW_PAUSE_S < until:
            await asyncio.sleep(_SLOW_PAUSE_S)
            resume()
            await asyncio.sleep(0)
            pause()
        await asyncio.sleep(max(0.0, until - loop.time()))
    finally:
        resume()
