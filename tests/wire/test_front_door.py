"""One port for everything, and limits before anything is spent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

import server.sockets.owners
from tests.support.certificates import make_certificate
from tests.support.fake_server import running_server
from tests.support.raw_http import dialled, exchange, read_answer, upgrade_head
from tests.support.realtime import receive, receive_until, say

pytestmark = [pytest.mark.wire]

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n"


async def test_http_and_websocket_share_the_port() -> None:
    """The same address answers a probe and carries a session."""
    async with running_server() as server, connect(server.socket_url()) as client:
        assert (await exchange(server.address, LIVEZ)).status == 200
        assert (await receive(client))["type"] == "session.created"


async def test_a_head_may_come_in_pieces() -> None:
    """Three bytes now and then are a request all the same."""
    async with running_server() as server, dialled(server.address) as (reader, writer):
        for start in range(0, len(LIVEZ), 3):
            writer.write(LIVEZ[start : start + 3])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await read_answer(reader)).status == 200


async def test_connections_are_kept_alive_for_more_requests() -> None:
    """Two requests in a row are answered on one connection."""
    async with running_server() as server, dialled(server.address) as (reader, writer):
        for _ in range(2):
            writer.write(LIVEZ)
            assert (await read_answer(reader)).status == 200


async def test_a_kept_connection_may_become_a_websocket() -> None:
    """Proxies keep connections, and send whatever comes next on them."""
    async with running_server() as server, dialled(server.address) as (reader, writer):
        for _ in range(2):
            writer.write(LIVEZ)
            assert (await read_answer(reader)).status == 200
        writer.write(upgrade_head(host="localhost"))
        assert (await read_answer(reader)).status == 101
        assert b"session.created" in await reader.read(200)


async def test_a_kept_connection_is_refused_like_a_new_one() -> None:
    """What is wrong with a handshake is wrong whatever came before it."""
    async with running_server() as server, dialled(server.address) as (reader, writer):
        writer.write(LIVEZ)
        await read_answer(reader)
        writer.write(upgrade_head("/v1/realtime?model=nobody", host="localhost"))
        assert (await read_answer(reader)).error["code"] == "model_not_found"


async def test_the_socket_s_address_tells_browsers_what_it_is() -> None:
    """A plain request there is told to upgrade."""
    async with running_server() as server:
        data = b"GET /v1/realtime?model=aoi HTTP/1.1\r\nHost: [::1]\r\n\r\n"
        answer = await exchange(server.address, data)
    assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")


async def test_a_body_reaches_the_application() -> None:
    """What follows the head is handed over with it."""
    body = b'{"model": "no-such", "messages": [{"role": "user", "content": "hi"}]}'
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    async with running_server() as server:
        answer = await exchange(server.address, head + body)
    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"


async def test_the_server_does_not_say_what_it_runs_on() -> None:
    """No answer has a Server header."""
    async with running_server() as server:
        for data in (LIVEZ, upgrade_head(), upgrade_head("/nowhere")):
            answer = await exchange(server.address, data)
            assert "server" not in answer.headers


async def test_a_head_that_does_not_come_gets_408() -> None:
    """Half a request and then silence is answered and closed."""
    async with running_server(limits__head_timeout_s=0.1) as server:
        answer = await exchange(server.address, b"GET / HTTP/1.1\r\nHost")
    assert answer.status == 408
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("ending", [b"", b"\r\n\r\n"])
async def test_a_head_too_large_gets_431(ending: bytes) -> None:
    """Whether it ends or not."""
    data = b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000 + ending
    async with running_server() as server:
        assert (await exchange(server.address, data)).status == 431


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n", b"\x00" * 9, b"get"]
)
async def test_what_is_not_http_gets_400(data: bytes) -> None:
    """TLS on the plain port, and other noise."""
    async with running_server() as server:
        assert (await exchange(server.address, data)).status == 400


async def test_one_connection_too_many_gets_503() -> None:
    """It is told when to come back, and when somebody leaves there is room again."""
    async with running_server(limits__max_connections=2) as server:
        async with connect(server.socket_url()), connect(server.socket_url()):
            answer = await exchange(server.address, LIVEZ)
            assert answer.status == 503
            assert answer.headers["retry-after"] == "2"
            assert answer.error["code"] == "too_many_connections"
            with pytest.raises(InvalidStatus) as refused:
                await connect(server.socket_url())
            assert refused.value.response.status_code == 503
        async with asyncio.timeout(5):
            while (await exchange(server.address, LIVEZ)).status == 503:
                continue


async def test_too_many_silent_connections_get_503() -> None:
    """Those that say nothing cannot keep others out for ever."""
    async with (
        running_server(limits__max_pending_heads=3) as server,
        contextlib.AsyncExitStack() as stack,
        asyncio.timeout(5),
    ):
        for _ in range(3):
            await stack.enter_async_context(dialled(server.address))
        reader, _ = await stack.enter_async_context(dialled(server.address))
        assert (await read_answer(reader)).status == 503


async def test_a_later_head_is_bounded_too() -> None:
    """An endless header on a connection that is kept alive ends the connection."""
    async with running_server() as server, dialled(server.address) as (reader, writer):
        writer.write(LIVEZ)
        assert (await read_answer(reader)).status == 200
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        writer.write(b"a" * 100_000)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(read_answer(reader), 5)


async def test_a_body_that_does_not_come_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request has a time in which to come in whole."""
    monkeypatch.setattr(server.sockets.owners, "REQUEST_TIMEOUT_S", 0.1)
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: [::1]\r\n"
        b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    )
    async with running_server() as running:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await exchange(running.address, head + b"12345")


async def test_realtime_is_the_only_subprotocol_that_is_echoed() -> None:
    """The key that a browser offers beside it is never said back."""
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.sk-x")]
    async with running_server() as server:
        async with connect(server.socket_url(), subprotocols=offered) as client:
            assert client.subprotocol == "realtime"
        async with connect(server.socket_url()) as client:
            assert client.subprotocol is None
        answer = await exchange(
            server.address,
            upgrade_head(Sec_WebSocket_Protocol="openai-insecure-api-key.sk-x, other"),
        )
    assert answer.status == 101
    assert "sec-websocket-protocol" not in answer.headers


async def test_compression_is_not_negotiated() -> None:
    """An offer is not taken up."""
    async with running_server() as server:
        answer = await exchange(
            server.address, upgrade_head(Sec_WebSocket_Extensions="permessage-deflate")
        )
    assert answer.status == 101
    assert "sec-websocket-extensions" not in answer.headers


async def test_keys_are_taken_from_header_and_subprotocol(tmp_path: Path) -> None:
    """Either place opens the door; none does not."""
    keys = tmp_path / "keys"
    keys.write_text("alice:good-key\n")
    async with running_server(auth__api_keys_file=str(keys)) as server:
        bearer = {"Authorization": "Bearer good-key"}
        async with connect(server.socket_url(), additional_headers=bearer) as client:
            await receive(client)
        offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.good-key")]
        async with connect(server.socket_url(), subprotocols=offered) as client:
            await receive(client)
        answer = await exchange(server.address, upgrade_head())
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"
        wrong = upgrade_head(Authorization="Bearer bad-key")
        assert (await exchange(server.address, wrong)).status == 401
        in_query = upgrade_head("/v1/realtime?model=aoi&api_key=good-key")
        assert (await exchange(server.address, in_query)).status == 401


async def test_logs_hold_no_key_no_query_and_no_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the most talkative level, too."""
    caplog.set_level(logging.DEBUG)
    keys = tmp_path / "keys"
    keys.write_text("good-key\n")
    bearer = {"Authorization": "Bearer good-key"}
    async with running_server(auth__api_keys_file=str(keys)) as server:
        url = server.socket_url("model=aoi&note=in-the-query")
        async with connect(url, additional_headers=bearer, logger=_silent()) as client:
            await say(client, "words-of-the-user")
            await receive_until(client, "response.done")
        await exchange(server.address, upgrade_head(Authorization="Bearer bad-key"))
        await exchange(
            server.address, b"GET /v1/models?x=in-the-query HTTP/1.1\r\nHost: [::1]\r\n\r\n"
        )
    text = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    for secret in ("good-key", "bad-key", "in-the-query", "words-of-the-user", "Hello there"):
        assert secret not in text
    assert "response" in caplog.messages


def _silent() -> logging.Logger:
    logger = logging.Logger("client")
    logger.setLevel(logging.CRITICAL)
    return logger


async def test_tls_is_spoken_with_a_certificate(tmp_path: Path) -> None:
    """HTTPS and wss on the same port; plain HTTP is not served there."""
    cert, key = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=cert)
    async with running_server(listen__tls_cert=str(cert), listen__tls_key=str(key)) as server:
        assert server.url.startswith("https://")
        async with connect(server.socket_url(), ssl=context) as client:
            await say(client, "Hi")
            await receive_until(client, "response.done")
        async with dialled(server.address, ssl=context) as (reader, writer):
            writer.write(LIVEZ)
            assert (await read_answer(reader)).status == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await exchange(server.address, LIVEZ)
