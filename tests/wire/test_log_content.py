"""What is said never reaches the log, whatever goes wrong; neither do keys and tokens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from engine.outputs import RequestDelta
from server.config.telemetry import LogConfig
from server.log_lines import configure_logging, on_loop_error
from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import Running, running_server
from tests.support.raw_http import dialled, upgrade_head
from tests.support.realtime import breathe, receive, receive_until, say

pytestmark = pytest.mark.wire

MARKER = "xylophone"
"""In everything that is said, asked for or shown in these tests, and in nothing else."""


class Clumsy(FakeEngine):
    """Says the marker, and stumbles over one of its own listeners."""

    def submit(self, request_id: str, *args: Any, on_delta: Any, **kwargs: Any) -> None:
        def listen(delta: RequestDelta) -> None:
            on_delta(delta)
            if delta.finish_reason is not None:
                asyncio.get_running_loop().call_soon(_stumble, f"said {self.reply}")

        super().submit(request_id, *args, on_delta=listen, **kwargs)


def _stumble(words: str) -> None:
    raise ValueError(f"cannot read {words!r}")


@pytest.fixture
def quiet_root() -> Iterator[None]:
    """Loggers as they were, afterwards."""
    names = (None, "server", "engine", "clients", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    kept = [(one, one.level, one.handlers[:]) for one in loggers]
    yield
    for one, level, handlers in kept:
        one.setLevel(level)
        one.handlers[:] = handlers


async def talk(client: ClientConnection) -> None:
    """One good turn, and everything that can be wrong with others."""
    character = {"character": {"context": f"{MARKER} context"}}
    await client.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
    await say(client, f"Hello, my {MARKER}.")
    await receive_until(client, "response.done")
    bad: list[object] = [
        {"type": MARKER},
        {"type": "session.update", "session": character},
        {"type": "conversation.item.create", "item": {"type": MARKER}},
        {"type": "conversation.item.delete", "item_id": MARKER},
        {"type": "response.create", "response": {"max_output_tokens": MARKER}},
        {"type": "character.draft", "text": f"{MARKER} draft"},
        MARKER,
    ]
    for message in bad:
        await client.send(json.dumps(message))
    await client.send(f"{{ {MARKER}")
    await breathe(client)
    await client.send(MARKER.encode())
    with contextlib.suppress(Exception):
        async with asyncio.timeout(2):
            await client.wait_closed()


async def knock(server: Running) -> None:
    """Handshakes and requests that fail, each with something that must not be written down."""
    for target in (f"/{MARKER}?resume={MARKER}", f"/v1/realtime?model={MARKER}&x={MARKER}"):
        async with dialled(server.address) as (reader, writer):
            writer.write(upgrade_head(target, host=f"{server.address[0]}:{server.address[1]}"))
            await reader.read(200)
    async with dialled(server.address) as (reader, writer):
        writer.write(f"{MARKER} {MARKER}\r\n\r\n".encode())
        await reader.read(200)
    with pytest.raises(InvalidStatus):
        await connect(
            server.socket_url(f"model=nobody&api_key={MARKER}"),
            additional_headers={"Authorization": f"Bearer {MARKER}", "Origin": f"http://{MARKER}"},
        )
    async with httpx.AsyncClient(base_url=server.url) as client:
        said = [{"role": "user", "content": f"Hello, my {MARKER}."}]
        for body in (
            {"model": "aoi", "messages": said},
            {"model": MARKER, "messages": said},
            {"model": "aoi", "messages": said, "temperature": MARKER},
            {"model": "aoi", "messages": said, "stop": [MARKER] * 100},
        ):
            await client.post(f"/v1/chat/completions?key={MARKER}", json=body)
        await client.post("/v1/chat/completions", content=MARKER)
        await client.get(f"/v1/conversations/{MARKER}?token={MARKER}")


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_a_conversation_leaves_no_word_in_the_log(
    log_format: Literal["text", "json"],
    quiet_root: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """At level debug, with an engine that fails, bad messages and bad handshakes."""
    configure_logging(LogConfig(format=log_format, level="debug"))
    asyncio.get_running_loop().set_exception_handler(on_loop_error)
    engine = Clumsy(reply=f"I like the {MARKER} too.")
    async with running_server(engine) as server:
        async with connect(server.socket_url()) as client:
            greeting = await receive(client)
            token = greeting["session"]["resume"]["token"]
            await talk(client)
        async with connect(server.socket_url(f"model=aoi&resume={token}")) as client:
            await receive(client)
        await knock(server)
        engine.refuse_with = "nobody_knows"
        async with connect(server.socket_url()) as client:
            await say(client, f"Again, my {MARKER}.")
            await receive_until(client, "response.done")
    logged = capfd.readouterr().err
    events = ("response", "completion", "session ended", "an error reached the event loop")
    assert all(event in logged for event in events)
    assert MARKER not in logged
    assert token.partition(".")[0] not in logged
    if log_format == "json":
        lines = [json.loads(line) for line in logged.splitlines()]
        assert all({"ts", "level", "logger", "event"} <= set(line) for line in lines)


async def test_bad_handshakes_do_not_flood_the_log(
    quiet_root: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """A scanner leaves numbers in the metrics, not lines."""
    configure_logging(LogConfig())
    async with running_server() as server:
        for _ in range(50):
            async with dialled(server.address) as (reader, writer):
                writer.write(upgrade_head("/nowhere", Sec_WebSocket_Version="12"))
                await reader.read(200)
    assert len(capfd.readouterr().err.splitlines()) <= 6
