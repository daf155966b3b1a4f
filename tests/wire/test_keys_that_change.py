"""Keys and certificates change under a running server: what that ends, and what it leaves alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.protocol.close_codes import CloseCode
from tests.support.certificates import make_certificate
from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import Running, running_server
from tests.support.keys import ALICE, EVE, bearer, entry, make_keys, write_keys
from tests.support.realtime import receive, receive_until, say
from tests.support.waiting import until

pytestmark = [pytest.mark.wire]

SOON = 0.05


async def end_of(client: ClientConnection) -> int:
    """Read to the end; returns the close code."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                await client.recv()
    return client.close_code or 0


async def refused(server: Running, key: str, query: str = "model=aoi") -> int:
    """How a handshake is turned away."""
    with pytest.raises(InvalidStatus) as answer:
        await connect(server.socket_url(query), additional_headers=bearer(key))
    return answer.value.response.status_code


@pytest.mark.slow
async def test_a_session_ends_with_its_key(tmp_path: Path) -> None:
    """In the middle of a reply; whoever has another key does not notice."""
    keys = make_keys(tmp_path)
    async with (
        running_server(
            FakeEngine(reply="word " * 2000, step_s=0.01),
            auth__api_keys_file=str(keys),
            auth__reload_interval_s=SOON,
            outbox__watch_interval_s=SOON,
        ) as server,
        connect(server.socket_url(), additional_headers=bearer(ALICE)) as alice,
        connect(server.socket_url(), additional_headers=bearer(EVE)) as eve,
    ):
        for client in (alice, eve):
            await say(client, "Hi")
            await receive_until(client, "response.output_text.delta")
        make_keys(tmp_path, without="alice")
        assert await end_of(alice) == CloseCode.AUTHENTICATION_ENDED
        assert await refused(server, ALICE) == 401
        await eve.send(json.dumps({"type": "response.cancel"}))
        await receive_until(eve, "response.done")
        async with connect(server.socket_url(), additional_headers=bearer(EVE)) as client:
            assert (await receive(client))["type"] == "session.created"


@pytest.mark.slow
async def test_a_session_that_is_waiting_for_its_client_ends_too(tmp_path: Path) -> None:
    """Even for a new key of the same name, its token leads nowhere."""
    keys = make_keys(tmp_path)
    new_key = "kw_alice-anew-0123456789"
    async with running_server(
        auth__api_keys_file=str(keys), auth__reload_interval_s=SOON, outbox__watch_interval_s=SOON
    ) as server:
        async with connect(server.socket_url(), additional_headers=bearer(ALICE)) as client:
            created = await receive(client)
            client.transport.abort()
            async with httpx.AsyncClient(base_url=server.url) as http, asyncio.timeout(10):
                while "kaiwa_sessions_parked 1.0" not in (await http.get("/metrics")).text:
                    pass
        write_keys(keys, entry("alice", new_key))
        async with asyncio.timeout(10):
            while await status_of(server, new_key) != 200:
                pass
        async with httpx.AsyncClient(base_url=server.url) as http, asyncio.timeout(10):
            while "kaiwa_sessions_parked 0.0" not in (await http.get("/metrics")).text:
                pass
        url = server.socket_url(f"model=aoi&resume={created['session']['resume']['token']}")
        async with connect(url, additional_headers=bearer(new_key)) as again:
            assert (await receive(again))["session"]["id"] != created["session"]["id"]


async def status_of(server: Running, key: str) -> int:
    """Whether a key opens anything."""
    async with httpx.AsyncClient(base_url=server.url, headers=bearer(key)) as http:
        return (await http.get("/v1/models")).status_code


async def test_a_secrets_session_ends_with_the_key_that_made_it(tmp_path: Path) -> None:
    """And so do secrets that are not used yet."""
    keys = make_keys(tmp_path)
    async with running_server(
        auth__api_keys_file=str(keys), auth__reload_interval_s=SOON, outbox__watch_interval_s=SOON
    ) as server:
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(ALICE)) as http:
            path = "/v1/realtime/client_secrets"
            used, unused = [(await http.post(path, json={})).json()["value"] for _ in range(2)]
        async with connect(server.socket_url(), additional_headers=bearer(used)) as client:
            await receive(client)
            make_keys(tmp_path, without="alice")
            assert await end_of(client) == CloseCode.AUTHENTICATION_ENDED
        assert await refused(server, unused) == 401


async def test_a_broken_file_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is an error in the log, without what stands in the file."""
    keys = make_keys(tmp_path)
    async with (
        running_server(
            auth__api_keys_file=str(keys),
            auth__reload_interval_s=SOON,
            outbox__watch_interval_s=SOON,
        ) as server,
        connect(server.socket_url(), additional_headers=bearer(ALICE)) as client,
    ):
        await receive(client)
        write_keys(keys, '[[key]]\nname = "alice"\nhash = "kw_a-key-in-clear-0123"\n')
        await until(lambda: "API keys not read again" in caplog.text)
        await say(client, "Hi")
        await receive_until(client, "response.done")
        assert await status_of(server, EVE) == 200
    assert "in-clear" not in caplog.text


async def test_sighup_reads_at_once(tmp_path: Path) -> None:
    """Whoever has changed the file need not wait."""
    keys = make_keys(tmp_path)
    async with running_server(
        auth__api_keys_file=str(keys), auth__reload_interval_s=3600.0
    ) as server:
        make_keys(tmp_path, without="alice")
        assert await status_of(server, ALICE) == 200
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(10):
            while await status_of(server, ALICE) != 401:
                pass


async def test_a_renewed_certificate_is_shown_and_connections_go_on(tmp_path: Path) -> None:
    """A broken one is not shown, and is said."""
    cert, key = make_certificate(tmp_path)
    old = ssl.create_default_context(cafile=cert)
    (tmp_path / "new").mkdir()
    new_cert, new_key = make_certificate(tmp_path / "new")
    new = ssl.create_default_context(cafile=new_cert)
    async with (
        running_server(
            listen__tls_cert=str(cert),
            listen__tls_key=str(key),
            auth__reload_interval_s=SOON,
            outbox__watch_interval_s=SOON,
        ) as server,
        connect(server.socket_url(), ssl=old) as client,
    ):
        await receive(client)
        cert.write_bytes(new_cert.read_bytes())
        key.write_bytes(new_key.read_bytes())

        async def shows_new() -> bool:
            try:
                async with connect(server.socket_url(), ssl=new):
                    return True
            except ssl.SSLCertVerificationError:
                return False

        async with asyncio.timeout(10):
            while not await shows_new():
                pass
        await say(client, "Hi")
        await receive_until(client, "response.done")
        cert.write_bytes(b"broken")
        async with connect(server.socket_url(), ssl=new) as another:
            assert (await receive(another))["type"] == "session.created"
