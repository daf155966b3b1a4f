"""A reader that stalls costs itself its socket, and nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect

from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import Running, running_server
from tests.support.raw_http import dialled, exchange, read_answer, upgrade_head
from tests.support.realtime import receive_until, say

pytestmark = [pytest.mark.wire, pytest.mark.slow]

TALK = [
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Talk."}],
        },
    },
    {"type": "response.create"},
]


@contextlib.asynccontextmanager
async def stalled_reader(server: Running) -> AsyncIterator[asyncio.StreamReader]:
    """A client with a tiny window that asks for a reply and reads next to nothing of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, server.address)
    async with dialled(server.address, sock=sock, limit=1024) as (reader, writer):
        writer.write(upgrade_head())
        assert (await read_answer(reader)).status == 101
        for event in TALK:
            text = json.dumps(event).encode()
            writer.write(struct.pack("!BBH", 0x81, 0x80 | 126, len(text)) + b"\0\0\0\0" + text)
        await writer.drain()
        yield reader


async def metric(server: Running, name: str) -> float:
    """A metric's value, 0 while it has none."""
    answer = await exchange(server.address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    lines = answer.body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def metric_reaches(server: Running, name: str, value: float) -> None:
    """Wait until a metric is at least so high."""
    async with asyncio.timeout(20):
        while True:
            if await metric(server, name) >= value:
                return
            await asyncio.sleep(0.02)


async def test_stalled_readers_are_cut_off_and_others_unharmed() -> None:
    """Ten readers stall; a stream beside them is whole, and the engine is free of the ten."""
    engine = FakeEngine(reply="All work and no play.\n" * 1000 + "!", obeys_max_tokens=False)
    settings = {
        "outbox__stall_timeout_s": 0.5,
        "outbox__watch_interval_s": 0.05,
        "outbox__send_buffer_bytes": 8192,
        "resume__window_s": 0.0,
    }
    async with running_server(engine, **settings) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(stalled_reader(server))
        async with connect(server.socket_url()) as client:
            await say(client, "Talk.")
            events = await receive_until(client, "response.done")
        deltas = [event["delta"] for event in events if "delta" in event]
        assert "".join(deltas) == engine.reply
        await metric_reaches(server, "kaiwa_ws_evictions_total", 10)
        assert engine.num_live == 0
        assert await metric(server, "kaiwa_ws_connections_active") <= 1


async def test_a_slow_reader_gets_everything_in_fewer_deltas() -> None:
    """A reader that pauses and goes on loses no text, and ids have no gap."""
    engine = FakeEngine(reply="0123456789" * 3000, obeys_max_tokens=False)
    async with (
        running_server(engine, outbox__send_buffer_bytes=8192) as server,
        stalled_reader(server) as reader,
    ):
        await metric_reaches(server, "kaiwa_generation_tokens_total", len(engine.reply))
        events = [await read_event(reader)]
        while events[-1]["type"] != "response.done":
            events.append(await read_event(reader))
        deltas = [event["delta"] for event in events if "delta" in event]
        assert "".join(deltas) == engine.reply
        assert len(deltas) < len(engine.reply) / 2
        numbers = [int(event["event_id"].rpartition("_")[2]) for event in events]
        assert numbers == list(range(1, len(numbers) + 1))
        assert await metric(server, "kaiwa_ws_coalesced_deltas_total") > 0


async def read_event(reader: asyncio.StreamReader) -> dict[str, str]:
    """One text frame, by hand."""
    first, length = await reader.readexactly(2)
    assert first == 0x81
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", await reader.readexactly(8))
    event = json.loads(await reader.readexactly(length))
    assert isinstance(event, dict)
    return event
