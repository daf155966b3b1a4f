"""B: framing, 12 cases beside those of Autobahn. RFC 6455 has a close code for each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import zlib

import pytest

from tests.attacks.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    bare_socket,
    close_code,
    frame,
    read_frame,
)
from tests.attacks.harness import SECRET, Target, message

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire(only="uvloop"),
    pytest.mark.asyncio(loop_scope="module"),
]

MOST_FRAGMENTS = 4096


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(TEXT, b"{}", masked=False), 1002, id="B01-unmasked"),
        pytest.param(frame(3, b"x"), 1002, id="B02a-reserved-data-opcode"),
        pytest.param(frame(11, b"x"), 1002, id="B02b-reserved-control-opcode"),
        pytest.param(frame(TEXT, b"{}", rsv=4), 1002, id="B03-RSV1-without-compression"),
        pytest.param(
            struct.pack("!BBQ", 0x81, 0xFF, 2**63) + b"mask", 1009, id="B04a-length-of-2-to-the-63"
        ),
        pytest.param(
            struct.pack("!BBQ", 0x81, 0xFF, 2**63 - 1) + b"mask", 1009, id="B04b-one-byte-less"
        ),
        pytest.param(
            frame(TEXT, fin=False) + frame(0, fin=False) * MOST_FRAGMENTS,
            1009,
            id="B05-4097-fragments",
        ),
        pytest.param(frame(PING, b"p" * 126), 1002, id="B08-ping-of-126-bytes"),
        pytest.param(
            frame(CLOSE, b"\x03\xe8" + b"r" * 124), 1002, id="B09-close-reason-of-124-bytes"
        ),
        pytest.param(frame(BINARY, SECRET.encode()), 1003, id="B11-binary"),
        pytest.param(
            frame(TEXT, zlib.compress(b"0" * 2**20)[2:-4], rsv=4), 1002, id="B12-deflate-bomb"
        ),
    ],
)
async def test_bad_framing_closes_with_its_code(kaiwa: Target, sent: bytes, code: int) -> None:
    """Compression is refused, so what looks compressed is not even unpacked."""
    offer = {"Sec_WebSocket_Extensions": "permessage-deflate"}
    async with kaiwa.attacked(), bare_socket(kaiwa, **offer) as (reader, writer):
        writer.write(sent)
        assert await close_code(reader) == code


async def test_b06_fragments_without_end_end(kaiwa: Target) -> None:
    """B06: one byte at a time and never the last; the socket is closed long before memory is."""
    async with kaiwa.attacked(), bare_socket(kaiwa) as (reader, writer):
        code = asyncio.create_task(close_code(reader))
        writer.write(frame(TEXT, b"x", fin=False))
        num_sent = 1
        with contextlib.suppress(ConnectionError):
            while not code.done():
                writer.write(frame(0, b"x", fin=False) * 256)
                num_sent += 256
                await asyncio.wait((code,), timeout=0.001)
                assert num_sent < 100 * MOST_FRAGMENTS
        assert await code == 1009


async def test_b07_a_flood_of_pings_is_answered_and_harms_nobody(kaiwa: Target) -> None:
    """B07: each of ten thousand gets its pong in turn, and the session is there afterwards."""
    async with kaiwa.attacked(), bare_socket(kaiwa) as (reader, writer):
        num_pings = 10_000
        writer.write(b"".join(frame(PING, struct.pack("!I", at)) for at in range(num_pings)))
        pongs: list[int] = []
        while len(pongs) < num_pings:
            opcode, payload = await read_frame(reader)
            if opcode == PONG:
                pongs.append(int.from_bytes(payload))
        assert pongs == list(range(num_pings))
        writer.write(frame(TEXT, json.dumps({"type": "no.such"}).encode()))
        opcode, payload = await read_frame(reader)
        assert json.loads(payload)["error"]["code"] == "unknown_event_type"


async def test_b10_what_comes_after_a_close_is_not_read(kaiwa: Target) -> None:
    """B10: the close is echoed with its code, and no event behind it is answered."""
    async with kaiwa.attacked(), bare_socket(kaiwa) as (reader, writer):
        opcode, _ = await read_frame(reader)
        assert opcode == TEXT
        late = json.dumps(message(SECRET)).encode()
        writer.write(frame(CLOSE, struct.pack("!H", 1000)) + frame(TEXT, late))
        assert await read_frame(reader) == (CLOSE, struct.pack("!H", 1000))
        assert await reader.read() == b""
