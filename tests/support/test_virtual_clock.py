"""The virtual clock keeps its promises."""

from __future__ import annotations

import asyncio
import time

import pytest


async def test_an_hour_of_sleep_is_free() -> None:
    """Sleeping moves the loop's clock, not the wall's."""
    loop = asyncio.get_running_loop()
    started, wall = loop.time(), time.monotonic()
    await asyncio.sleep(3600)
    assert loop.time() - started == pytest.approx(3600, abs=0.01)
    assert time.monotonic() - wall < 5


async def test_timers_fire_in_order() -> None:
    """Of two sleepers the shorter wakes first."""
    woken: list[int] = []

    async def sleeper(seconds: int) -> None:
        await asyncio.sleep(seconds)
        woken.append(seconds)

    await asyncio.gather(sleeper(50), sleeper(5))
    assert woken == [5, 50]


async def test_a_timeout_on_a_silent_socket_fires() -> None:
    """A timeout around real input fires in virtual time."""
    reached = asyncio.Event()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reached.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await reader.read(1)
        writer.close()
        await writer.wait_closed()
