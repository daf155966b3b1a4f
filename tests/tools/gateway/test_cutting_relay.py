"""A relay that loses what is in flight."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from tools.gateway.cutting_relay import CutPlan, CuttingRelay

pytestmark = pytest.mark.wire


async def read_all(relay: CuttingRelay) -> bytes:
    """What reaches the client."""
    loop, data = asyncio.get_running_loop(), b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := await loop.sock_recv(relay.client_side, 1000):
            data += chunk
    return data


@pytest.mark.parametrize(("passed", "swallow_s"), [(0, 0.0), (7, 0.0), (7, 0.02), (1000, 0.02)])
async def test_no_more_is_passed_than_planned(passed: int, swallow_s: float) -> None:
    """The server's bytes were taken all the same, and both sides are cut off."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"0123456789")
            await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        relay = CuttingRelay(CutPlan(passed, swallow_s))
        await relay.open(*server.sockets[0].getsockname())
        if passed > 10:
            relay.client_side.shutdown(socket.SHUT_WR)
        assert await read_all(relay) == b"0123456789"[:passed]
        await relay.closed()
        relay.client_side.close()
        assert relay.num_swallowed <= max(0, 10 - passed)


async def test_no_server_is_told() -> None:
    """As any client would hear it."""
    with pytest.raises(ConnectionRefusedError):
        await CuttingRelay(CutPlan(0, 0.0)).open("127.0.0.1", 1)
