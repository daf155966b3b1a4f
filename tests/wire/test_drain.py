"""Stopping: what runs may finish, nothing new begins, and the end is bounded whoever stalls."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.app import EXIT_ENGINE_LOST
from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import running_server, server_process
from tests.support.raw_http import dialled, exchange
from tests.support.realtime import receive, receive_until, say
from tests.wire.test_slow_readers import stalled_reader

pytestmark = [pytest.mark.wire]

READYZ = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def completion_head(body: bytes) -> bytes:
    """A whole request for a chat completion."""
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )


async def test_an_idle_server_stops_at_once() -> None:
    """Sessions without a reply are closed with 1012, and the exit code is 0."""
    async with running_server() as server, connect(server.socket_url()) as client:
        await receive(client)
        server.stop.ask()
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1012
        assert await server.exit_code == 0


async def test_a_running_reply_finishes() -> None:
    """It comes to its own end before the socket is closed."""
    engine = FakeEngine(reply="la-" * 50, step_s=0.002, obeys_max_tokens=False)
    async with running_server(engine) as server, connect(server.socket_url()) as client:
        await say(client, "Sing.")
        await receive_until(client, "response.output_text.delta")
        server.stop.ask()
        done = (await receive_until(client, "response.done"))[-1]
        assert done["response"]["status"] == "completed"
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1012


async def test_nothing_new_begins_while_draining() -> None:
    """Readiness is off, liveness is not; new sessions and new replies are refused."""
    engine = FakeEngine(reply="la-" * 50, step_s=0.005)
    async with (
        running_server(engine) as server,
        connect(server.socket_url()) as busy,
        connect(server.socket_url()) as idle,
    ):
        await say(busy, "Sing.")
        await receive_until(busy, "response.output_text.delta")
        server.stop.ask()
        await asyncio.sleep(0)
        ready = await exchange(server.address, READYZ)
        assert ready.status == 503
        assert (await exchange(server.address, LIVEZ)).status == 200
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.socket_url())
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "2"
        await idle.send(json.dumps({"type": "response.create", "event_id": "mine"}))
        error = (await receive_until(idle, "error"))[-1]["error"]
        assert (error["code"], error["event_id"]) == ("server_draining", "mine")
        await receive_until(busy, "response.done")


async def test_after_the_drain_timeout_replies_are_ended() -> None:
    """What could not finish ends as failed, with the reason, before the socket closes."""
    engine = FakeEngine(reply="la-" * 10_000, step_s=0.005)
    async with (
        running_server(engine, drain__timeout_s=0.1) as server,
        connect(server.socket_url()) as client,
    ):
        await say(client, "Sing.")
        await receive_until(client, "response.output_text.delta")
        server.stop.ask()
        done = (await receive_until(client, "response.done"))[-1]["response"]
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"] == "server_draining"
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1012
        assert await server.exit_code == 0


@pytest.mark.parametrize("streams", [False, True])
async def test_completions_that_cannot_finish_say_why(streams: bool) -> None:
    """With the reason as the answer or as the last event, not with a connection that breaks."""
    engine = FakeEngine(reply="la-" * 10_000, step_s=0.005)
    runs = asyncio.Event()
    engine.add_step_listener(lambda _: runs.set())
    asked = {"model": "aoi", "messages": [{"role": "user", "content": "Sing."}], "stream": streams}
    async with (
        running_server(engine, drain__timeout_s=0.1, drain__close_timeout_s=5) as server,
        dialled(server.address) as (reader, writer),
    ):
        writer.write(completion_head(json.dumps(asked).encode()))
        await runs.wait()
        server.stop.ask()
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200" if streams else b"HTTP/1.1 503")
        assert b'"code":"draining"' in answer
        assert (b"data: [DONE]" in answer) == streams
        assert await server.exit_code == 0


@pytest.mark.slow
async def test_a_stalled_reader_does_not_hold_the_end() -> None:
    """Drain and close timeouts bound the stop, with a reader that takes nothing."""
    engine = FakeEngine(reply="All work and no play.\n" * 2000, obeys_max_tokens=False)
    loop = asyncio.get_running_loop()
    async with (
        running_server(
            engine,
            outbox__send_buffer_bytes=8192,
            drain__timeout_s=0.2,
            drain__close_timeout_s=0.3,
        ) as server,
        stalled_reader(server),
    ):
        await asyncio.sleep(0.5)
        started = loop.time()
        server.stop.ask()
        assert await server.exit_code == 0
        assert loop.time() - started < 2


async def test_a_second_word_means_at_once() -> None:
    """A long reply and a long drain timeout are cut short, but not the word that it restarts."""
    engine = FakeEngine(reply="la-" * 10_000, step_s=0.005)
    async with running_server(engine) as server, connect(server.socket_url()) as client:
        await say(client, "Sing.")
        await receive_until(client, "response.output_text.delta")
        server.stop.ask()
        server.stop.ask()
        async with asyncio.timeout(5):
            assert await server.exit_code == 0
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1012


async def test_a_lost_engine_ends_the_server() -> None:
    """Replies fail, sockets are closed with 1012 at once, and the exit code says why."""
    engine = FakeEngine(reply="la-" * 10_000, step_s=0.005)
    async with (
        running_server(engine, outbox__watch_interval_s=60) as server,
        connect(server.socket_url()) as client,
    ):
        await say(client, "Sing.")
        await receive_until(client, "response.output_text.delta")
        engine.die()
        done = (await receive_until(client, "response.done"))[-1]["response"]
        assert done["status"] == "failed"
        error = done["status_details"]["error"]
        assert error["code"] == "engine_dead"
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1012
        assert await server.exit_code == EXIT_ENGINE_LOST


@pytest.mark.slow
@pytest.mark.wire(only="asyncio")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_the_process(number: signal.Signals) -> None:
    """A running reply finishes after the signal; then the process leaves with 0."""
    async with (
        server_process("la-la-la-la-la-la-la", "0.02") as (process, address),
        connect(f"ws://{address}/v1/realtime?model=aoi") as client,
    ):
        await say(client, "Sing.")
        await receive_until(client, "response.output_text.delta")
        process.send_signal(number)
        done = (await receive_until(client, "response.done"))[-1]
        assert done["response"]["status"] == "completed"
        assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.mark.slow
@pytest.mark.wire(only="asyncio")
async def test_a_second_signal_ends_the_process_at_once() -> None:
    """Whatever still runs."""
    async with (
        server_process("la-" * 10_000, "0.02") as (process, address),
        connect(f"ws://{address}/v1/realtime?model=aoi") as client,
    ):
        await say(client, "Sing.")
        await receive_until(client, "response.output_text.delta")
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
