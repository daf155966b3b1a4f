"""Connections are counted before TLS costs anything, whatever comes of their handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.certificates import make_certificate
from tests.support.fake_server import Running, running_server
from tests.support.raw_http import Answer, dialled, read_answer

pytestmark = [pytest.mark.wire]

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def trust(tmp_path: Path) -> ssl.SSLContext:
    """What a client needs to know."""
    cert, _ = make_certificate(tmp_path)
    return ssl.create_default_context(cafile=cert)


@pytest_asyncio.fixture
async def server(tmp_path: Path, trust: ssl.SSLContext) -> AsyncIterator[Running]:
    """One with a certificate that waits for two clients at most."""
    async with running_server(
        listen__tls_cert=str(tmp_path / "cert.pem"),
        listen__tls_key=str(tmp_path / "key.pem"),
        limits__max_pending_heads=2,
        limits__head_timeout_s=0.3,
    ) as running:
        yield running


async def asked(server: Running, trust: ssl.SSLContext) -> Answer:
    """What a client is answered."""
    async with asyncio.timeout(5), dialled(server.address, ssl=trust) as (reader, writer):
        writer.write(LIVEZ)
        return await read_answer(reader)


async def until_let_in(server: Running, trust: ssl.SSLContext) -> None:
    """Come back until there is room."""
    while (await asked(server, trust)).status == 503:
        continue


async def test_who_begins_no_handshake_is_counted(server: Running, trust: ssl.SSLContext) -> None:
    """With two silent ones the third is told, within TLS; they are cut off in time."""
    async with contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(dialled(server.address)) for _ in range(2)]
        answer = await asked(server, trust)
        assert (answer.status, answer.error["code"]) == (503, "too_many_connections")
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await silent[0][0].read() == b""
            await until_let_in(server, trust)


async def test_whatever_is_no_handshake_gives_its_place_back(
    server: Running, trust: ssl.SSLContext
) -> None:
    """HTTP in clear, noise, and a client that leaves in the middle."""
    for data in (LIVEZ, b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 300, b""):
        async with dialled(server.address) as (_, writer):
            writer.write(data)
            await writer.drain()
    async with asyncio.timeout(5):
        await until_let_in(server, trust)


async def test_a_handshake_under_way_holds_no_stop_up(
    server: Running, trust: ssl.SSLContext
) -> None:
    """Who has not agreed when the server stops is cut off at once."""
    async with dialled(server.address) as (reader, _):
        await asked(server, trust)
        server.stop.ask()
        server.stop.ask()
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            assert await asyncio.shield(server.exit_code) == 0
