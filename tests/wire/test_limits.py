"""Whoever takes too much is told so, in the wire's words, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import Running, running_server
from tests.support.narrow_engine import NarrowEngine
from tests.support.realtime import receive, receive_until, say

pytestmark = [pytest.mark.wire]

MIO = {"Authorization": "Bearer the-key-of-mio-0123456789"}
RIN = {"Authorization": "Bearer the-key-of-rin-0123456789"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Two of them."""
    file = tmp_path / "keys"
    file.write_text("mio:the-key-of-mio-0123456789\nrin:the-key-of-rin-0123456789\n")
    return file


@contextlib.asynccontextmanager
async def canary(server: Running, reply: str) -> AsyncIterator[None]:
    """Somebody with a reply under way, which must come whole."""
    async with connect(server.socket_url(), additional_headers=RIN) as client:
        await say(client, "Sing.")
        await receive_until(client, "response.output_text.delta")
        yield
        done = (await receive_until(client, "response.done"))[-1]
        assert done["response"]["status"] == "completed"
        assert done["response"]["output"][0]["content"][0]["text"] == reply


async def refused(server: Running) -> InvalidStatus:
    """How a handshake is turned away."""
    with pytest.raises(InvalidStatus) as failure:
        await connect(server.socket_url(), additional_headers=MIO)
    return failure.value


async def test_one_connection_too_many_of_a_key_gets_429(keys: Path) -> None:
    """It is told when to come back; other keys come in; and when one leaves there is room."""
    settings = {"auth__api_keys_file": str(keys), "limits__max_connections_per_key": 2}
    async with running_server(FakeEngine(), **settings) as server:
        url = server.socket_url()
        async with connect(url, additional_headers=MIO), connect(url, additional_headers=MIO):
            answer = (await refused(server)).response
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "2"
            error = json.loads(answer.body or b"")["error"]
            assert (error["type"], error["code"]) == ("rate_limit_error", "too_many_connections")
            async with connect(url, additional_headers=RIN) as other:
                assert (await receive(other))["type"] == "session.created"
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(InvalidStatus):
                    async with connect(url, additional_headers=MIO) as again:
                        assert (await receive(again))["type"] == "session.created"
                        break


async def test_many_come_back_at_once() -> None:
    """As after a restart; nothing is in their way as it is configured."""
    async with running_server() as server, contextlib.AsyncExitStack() as stack:
        url = server.socket_url()
        clients = await asyncio.gather(
            *(stack.enter_async_context(connect(url, ping_interval=None)) for _ in range(100))
        )
        greetings = await asyncio.gather(*map(receive, clients))
        assert {greeting["type"] for greeting in greetings} == {"session.created"}


async def ask(client: ClientConnection) -> dict[str, object]:
    """Ask for a reply; returns its end, or why it was refused."""
    await client.send(json.dumps({"type": "response.create", "event_id": "mine"}))
    while (event := await receive(client))["type"] not in ("response.done", "error"):
        continue
    return event


async def test_tokens_run_out(keys: Path) -> None:
    """The error says which event, why, and for how long; another key does not notice."""
    reply = "la" * 40
    settings = {"auth__api_keys_file": str(keys), "limits__tokens_per_min": 3000}
    async with (
        running_server(FakeEngine(reply=reply, step_s=0.002), **settings) as server,
        canary(server, reply),
        connect(server.socket_url(), additional_headers=MIO) as client,
    ):
        await receive(client)
        while (event := await ask(client))["type"] != "error":
            pass
        error = event["error"]
        assert isinstance(error, dict)
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert error["event_id"] == "mine"
        assert error["retry_after_ms"] > 0
        assert "Please try again in" in error["message"]


async def test_a_burst_beyond_the_queue_is_refused_and_what_runs_goes_on(keys: Path) -> None:
    """Who is refused is told when to come back; who was there first is not disturbed."""
    reply = "la" * 40
    engine = NarrowEngine(reply=reply, step_s=0.002, num_rows=2)
    settings = {"auth__api_keys_file": str(keys), "limits__max_wait_s": 0.2}
    async with running_server(engine, **settings) as server, contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(canary(server, reply))
        clients = [
            await stack.enter_async_context(
                connect(server.socket_url(), additional_headers=MIO, ping_interval=None)
            )
            for _ in range(12)
        ]
        first = await asyncio.gather(*map(ask, clients[:4]))
        assert {event["type"] for event in first} == {"response.done"}
        events = await asyncio.gather(*map(ask, clients))
        errors = [event["error"] for event in events if event["type"] == "error"]
        assert 0 < len(errors) < len(clients)
        for error in errors:
            assert isinstance(error, dict)
            assert (error["type"], error["code"]) == ("rate_limit_error", "server_overloaded")
            assert error["retry_after_ms"] >= 1000


@pytest.mark.slow  # a flood lasts a second before it is one
async def test_a_flood_is_slowed_down_and_then_cut_off(keys: Path) -> None:
    """A thousand messages a second, beside a reply that comes whole."""
    reply = "la" * 50
    settings = {
        "auth__api_keys_file": str(keys),
        "limits__messages_per_s": 20.0,
        "limits__message_burst": 20,
        "limits__flood_timeout_s": 1.0,
    }
    async with (
        running_server(FakeEngine(reply=reply, step_s=0.03), **settings) as server,
        canary(server, reply),
        connect(server.socket_url(), additional_headers=MIO) as client,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            await flood(client)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4429


@pytest.mark.slow
async def test_who_is_read_slowly_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pong stands behind messages that wait for its rate; all of them are answered."""
    monkeypatch.setattr("server.sockets.front_door.KEEPALIVE_S", 0.1)
    async with (
        running_server(limits__messages_per_s=100.0, limits__message_burst=10) as server,
        connect(server.socket_url()) as client,
    ):
        for _ in range(60):
            await client.send('{"type": "no.such"}')
        async with asyncio.timeout(10):
            for _ in range(60):
                await receive_until(client, "error")


async def flood(client: ClientConnection) -> None:
    """Send as fast as can be, and read what comes."""
    padding = "x" * 10_000  # so that the kernel's buffers are full soon

    async def send() -> None:
        while True:
            await client.send(json.dumps({"type": "no.such", "x": padding}))

    sending = asyncio.create_task(send())
    try:
        while True:
            await client.recv()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
