"""The client that asks servers, against a server of a few lines."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tools.bench.http_client import ask, measure
from tools.bench.workload import Workload

PIECES = 5


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """List one model, or stream a few pieces and a bill; refuse whoever asks for nothing."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if head.startswith("GET /v1/models"):
        body = json.dumps({"data": [{"id": "served"}]})
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    else:
        length = int(head.lower().split("content-length:")[1].split()[0])
        asked = json.loads(await reader.readexactly(length))
        if not asked["max_tokens"]:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\nnothing was asked for")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(PIECES):
                event = {"choices": [{"delta": {"content": "word"}}]}
                writer.write(b"data: %b\n\n" % json.dumps(event).encode())
                await writer.drain()
                await asyncio.sleep(0.002)
            usage = {"choices": [], "usage": {"completion_tokens": asked["max_tokens"]}}
            writer.write(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(usage).encode())
    await writer.drain()
    writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """The server's address."""
    listener = socket.create_server(("127.0.0.1", 0))
    async with await asyncio.start_server(answer, sock=listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_every_reply_is_billed_however_many_run_at_once() -> None:
    """Tokens are the server's count, pieces only tell when."""
    workload = Workload(
        model="configs/models/kaiwa-demo", streams=(1, 6), requests_per_stream=3, output_tokens=16
    )
    async with serving() as address:
        one, six = await measure(workload, address, 0)
    assert [one["requests"], six["requests"]] == [4, 18]
    assert [one["tokens"], six["tokens"]] == [4 * 16, 18 * 16]


async def test_a_refusal_is_passed_on() -> None:
    """With the server's own words."""
    async with serving() as address:
        with pytest.raises(ValueError, match="400 Bad Request.* nothing was asked for"):
            await ask(address, "served", [], 0, lambda: None)
