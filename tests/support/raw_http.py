"""Requests written by hand, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@dataclass(frozen=True)
class Answer:
    """What came back until the server closed, or the body was whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a JSON body."""
        error = json.loads(self.body)["error"]
        assert isinstance(error, dict)
        return error


def upgrade_head(
    target: str = "/v1/realtime?model=aoi", *, host: str | None = "x", **headers: str
) -> bytes:
    """A handshake; headers are named with ``_`` for ``-``, and replace the usual ones.

    An empty value leaves the header out.
    """
    usual = {
        "Host": host or "",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    usual |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"GET {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in usual.items() if value]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def dialled(address: tuple[str, int], **options: Any) -> AsyncIterator[Streams]:
    """A connection that is cut at the end, whatever the other side thinks of it."""
    if "sock" in options:
        reader, writer = await asyncio.open_connection(**options)
    else:
        reader, writer = await asyncio.open_connection(*address, **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def exchange(address: tuple[str, int], data: bytes, *, patience_s: float = 5.0) -> Answer:
    """Send bytes and read one answer."""
    async with dialled(address) as (reader, writer), asyncio.timeout(patience_s):
        writer.write(data)
        return await read_answer(reader)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer, its body by its length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.rstrip().split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    return Answer(int(status_line.split(" ")[1]), headers, await reader.readexactly(length))
