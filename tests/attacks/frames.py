"""WebSocket frames of a client, written by hand (RFC 6455, section 5.2)."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

from tests.attacks.harness import Target
from tests.support.raw_http import Streams, dialled, read_answer, upgrade_head

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """One frame; the mask is all zeros, so that the payload stands as it is."""
    first = opcode | (0x80 if fin else 0) | rsv << 4
    mask_bit = 0x80 if masked else 0
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, length | mask_bit)
    elif length < 2**16:
        head = struct.pack("!BBH", first, 126 | mask_bit, length)
    else:
        head = struct.pack("!BBQ", first, 127 | mask_bit, length)
    return head + b"\0\0\0\0" * masked + payload


@contextlib.asynccontextmanager
async def bare_socket(
    there: Target, query: str = "model=aoi", **headers: str
) -> AsyncIterator[Streams]:
    """A socket after its handshake, with nobody between it and the test."""
    async with dialled(there.address) as (reader, writer), asyncio.timeout(60):
        writer.write(upgrade_head(f"/v1/realtime?{query}", **headers))
        answer = await read_answer(reader)
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers
        yield reader, writer


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and payload of the server's next frame."""
    first, length = await reader.readexactly(2)
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", await reader.readexactly(8))
    return first & 0x0F, await reader.readexactly(length)


async def close_code(reader: asyncio.StreamReader) -> int:
    """Skip to the server's close frame; its code."""
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == CLOSE:
            return int.from_bytes(payload[:2])
