"""Whatever knocks: it gets a clean answer, and whoever is inside does not notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect

from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import Running, running_server
from tests.support.raw_http import KEY, dialled, exchange, read_answer, upgrade_head
from tests.support.realtime import receive_until, say

pytestmark = [pytest.mark.wire(only="uvloop")]


@contextlib.asynccontextmanager
async def canary_aboard() -> AsyncIterator[Running]:
    """A server with a reply running; at the end the reply must be whole."""
    reply = "la-" * 20
    engine = FakeEngine(reply=reply, step_s=0.001)
    async with running_server(engine) as server, connect(server.socket_url()) as canary:
        await say(canary, "Sing.")
        await receive_until(canary, "response.output_text.delta")
        yield server
        done = (await receive_until(canary, "response.done"))[-1]
        assert done["response"]["status"] == "completed"
        assert done["response"]["output"][0]["content"][0]["text"] == reply


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(upgrade_head("/nowhere"), 404, id="unknown path"),
        pytest.param(upgrade_head("/v1/realtime/?model=aoi"), 404, id="path with a slash more"),
        pytest.param(upgrade_head("/v1/%72ealtime?model=aoi"), 404, id="escaped path"),
        pytest.param(upgrade_head("//v1/realtime?model=aoi"), 404, id="two slashes"),
        pytest.param(upgrade_head("/v1/realtime"), 400, id="no model"),
        pytest.param(upgrade_head("/v1/realtime?model="), 400, id="empty model"),
        pytest.param(upgrade_head("/v1/realtime?model=nobody"), 404, id="unknown model"),
        pytest.param(upgrade_head("/v1/realtime?model=%ff"), 400, id="query not UTF-8"),
        pytest.param(upgrade_head("/v1/realtime?model=aoi&call_id=x"), 400, id="call"),
        pytest.param(upgrade_head("/v1/realtime?intent=transcription"), 400, id="transcription"),
        pytest.param(upgrade_head("/v1/realtime?" + "&a=b" * 40), 400, id="too many query fields"),
        pytest.param(upgrade_head(host=None), 400, id="no Host"),
        pytest.param(upgrade_head(X="y\r\nHost: z"), 400, id="two Hosts"),
        pytest.param(upgrade_head(Origin="http://evil.example"), 403, id="foreign origin"),
        pytest.param(upgrade_head(Origin="null"), 403, id="null origin"),
        pytest.param(upgrade_head(Origin="http://x.evil.example"), 403, id="suffix origin"),
        pytest.param(upgrade_head(Origin="http://x:81"), 403, id="other port origin"),
        pytest.param(upgrade_head(host="localhost", Origin="http://localhost"), 101, id="own"),
        pytest.param(upgrade_head(Origin="http://x"), 403, id="rebound name"),
        pytest.param(upgrade_head(Sec_WebSocket_Key=""), 400, id="no key"),
        pytest.param(upgrade_head(Sec_WebSocket_Key="c2hvcnQ="), 400, id="short key"),
        pytest.param(upgrade_head(X=f"y\r\nSec-WebSocket-Key: {KEY}"), 400, id="two keys"),
        pytest.param(upgrade_head(Sec_WebSocket_Version="12"), 400, id="version 12"),
        pytest.param(upgrade_head(Sec_WebSocket_Version=""), 400, id="no version"),
        pytest.param(upgrade_head(Connection=""), 426, id="no Connection"),
        pytest.param(upgrade_head(Connection="close"), 426, id="other Connection"),
        pytest.param(upgrade_head().replace(b"GET", b"POST"), 405, id="POST"),
        pytest.param(upgrade_head().replace(b"HTTP/1.1", b"HTTP/1.0"), 505, id="HTTP/1.0"),
    ],
)
async def test_a_handshake_gets_the_right_status(head: bytes, status: int) -> None:
    """Each mistake has its number."""
    async with canary_aboard() as server:
        assert (await exchange(server.address, head)).status == status


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(upgrade_head("/v1/realtime?model=nobody"), id="unknown model"),
        pytest.param(upgrade_head("/v1/realtime"), id="no model"),
    ],
)
async def test_a_refusal_lists_the_models(head: bytes) -> None:
    """Who mistypes a name learns the right ones."""
    async with running_server() as server:
        answer = await exchange(server.address, head)
    assert answer.headers["content-type"] == "application/json"
    assert "aoi" in answer.error["message"]
    assert answer.error["param"] == "model"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 preface"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/1.1\r\nHost x\r\n\r\n", id="header without colon"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n", id="NUL in a header"),
        pytest.param(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two body lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: nine\r\n\r\n",
            id="length in words",
        ),
    ],
)
async def test_bad_http_gets_an_answer_or_a_closed_door(data: bytes) -> None:
    """Nothing hangs, nothing breaks; the answer is a client error."""
    async with canary_aboard() as server:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            answer = await exchange(server.address, data)
            assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(upgrade_head(Sec_WebSocket_Key=""), 400, "bad_request", id="no key"),
        pytest.param(upgrade_head(Connection=""), 426, "bad_request", id="no Connection"),
        pytest.param(upgrade_head().replace(b"GET", b"POST"), 405, "method_not_allowed", id="POST"),
        pytest.param(
            upgrade_head(**{f"X{number}": "y" for number in range(129)}),
            *(431, "head_too_large"),
            id="129 headers",
        ),
        pytest.param(upgrade_head(X="y" * 8192), 431, "head_too_large", id="a long header"),
        pytest.param(upgrade_head("/" + "y" * 8192), 414, "head_too_large", id="a long address"),
        pytest.param(upgrade_head(Content_Length="5"), 400, "bad_request", id="a body by length"),
        pytest.param(
            upgrade_head(Transfer_Encoding="chunked"), 400, "bad_request", id="a body in chunks"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400, "bad_request", id="bad header"),
        pytest.param(b"GET /livez HTTP/1.1\r\n\r\n", 400, "bad_request", id="no Host"),
        pytest.param(
            b"GET /livez HTTP/1.1\r\nHost: a.example\r\n\r\n", 403, "host_not_allowed", id="alien"
        ),
    ],
)
async def test_every_refusal_has_the_one_shape(data: bytes, status: int, code: str) -> None:
    """Also what the libraries refuse comes as an error object with a stable code."""
    async with running_server() as server:
        answer = await exchange(server.address, data)
    assert (answer.status, answer.error["code"]) == (status, code)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"X": "y" * 8000}, id="a header of 8 kB"),
        pytest.param({f"X{number}": "y" for number in range(120)}, id="120 headers"),
        pytest.param({"X": "caf\xe9"}, id="a header that is not ASCII"),
    ],
)
async def test_odd_headers_do_no_harm(extra: dict[str, str]) -> None:
    """They are taken, or refused, or end the connection."""
    async with canary_aboard() as server:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            answer = await exchange(server.address, upgrade_head(**extra))
            assert answer.status in (101, 400)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    """A client's frame, by hand."""
    first = opcode | (0x80 if fin else 0)
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, length | (0x80 if masked else 0))
    else:
        head = struct.pack("!BBH", first, 126 | (0x80 if masked else 0), length)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(1, b"{}", masked=False), 1002, id="unmasked"),
        pytest.param(frame(3, b"x"), 1002, id="reserved opcode"),
        pytest.param(b"\xc1" + frame(1, b"{}")[1:], 1002, id="RSV1 without compression"),
        pytest.param(b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"mask", 1009, id="a length of 2**63"),
        pytest.param(frame(9, b"p" * 126), 1002, id="a ping of 126 bytes"),
        pytest.param(frame(0, b"x"), 1002, id="continuation of nothing"),
        pytest.param(frame(8, b"\x00"), 1002, id="half a close code"),
        pytest.param(
            frame(1, b"x", fin=False) + frame(0, b"x", fin=False) * 5000, 1009, id="5,000 fragments"
        ),
        pytest.param(frame(2, b"bytes"), 1003, id="binary"),
    ],
)
async def test_bad_framing_closes_with_the_right_code(data: bytes, code: int) -> None:
    """RFC 6455 has a code for each."""
    async with (
        canary_aboard() as server,
        dialled(server.address) as (reader, writer),
        asyncio.timeout(5),
    ):
        writer.write(upgrade_head())
        assert (await read_answer(reader)).status == 101
        writer.write(data)
        assert await read_close_code(reader) == code


async def read_close_code(reader: asyncio.StreamReader) -> int:
    """Skip the server's frames to its close frame."""
    while True:
        first, length = await reader.readexactly(2)
        if length == 126:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
        payload = await reader.readexactly(length)
        if first & 0x0F == 8:
            return int.from_bytes(payload[:2])


async def test_a_flood_of_pings_is_answered_or_cut() -> None:
    """Ten thousand pings cost nobody else anything."""
    async with canary_aboard() as server, dialled(server.address) as (reader, writer):
        writer.write(upgrade_head())
        await read_answer(reader)
        writer.write(frame(9, b"x" * 100) * 10_000)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.2)


async def test_a_reset_in_the_middle_is_noticed() -> None:
    """A client that vanishes leaves nothing behind."""
    async with canary_aboard() as server:
        before = server.engine.num_live
        async with connect(server.socket_url()) as client:
            await say(client, "Hi")
            await receive_until(client, "response.output_text.delta")
            client.transport.abort()
        async with asyncio.timeout(5):
            while server.engine.num_live > before:
                await exchange(server.address, b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "1",
        "[]",
        '"text"',
        "{",
        "{}x",
        "\ufeff{}",
        '{"type":"a","type":"b"}',
        '{"type":NaN}',
        '{"type":1e400}',
        '{"type":1}',
        '{"a":1}',
        '{"type":"\\ud800"}',
        '{"type":"\\u0000"}',
        "[" * 10_000,
        '{"a":' * 5_000,
        json.dumps({"k" * 60_000: 1}),
    ],
    ids=range(19),
)
async def test_a_bad_message_costs_one_error(text: str) -> None:
    """Each gets an ``error`` event, and the session goes on."""
    async with running_server() as server, connect(server.socket_url()) as client:
        await client.send(text)
        error = (await receive_until(client, "error"))[-1]
        assert error["error"]["code"]
        await say(client, "Hi")
        await receive_until(client, "response.done")
