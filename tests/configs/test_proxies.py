"""The shipped proxies pass on what Kaiwa says, as it says it; run against the real programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from server.config.shipped import REPOSITORY
from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import Running, running_server
from tests.support.realtime import receive_until, say
from tests.support.waiting import until

FOLDER = REPOSITORY / "configs" / "proxies"
PROXIES = ["nginx", "haproxy"]

pytestmark = [pytest.mark.slow, pytest.mark.wire(only="uvloop")]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nginx_command(folder: Path, port: int, server_port: int) -> list[str]:
    """The shipped file without TLS, in a frame that a user may run."""
    lines = (FOLDER / "nginx.conf").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if "ssl_" not in line)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server_port}")
    text = text.replace("/var/log/nginx/kaiwa.log", str(folder / "access.log"))
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    frame = (
        f"daemon off;\npid {folder / 'pid'};\nerror_log {folder / 'error.log'};\n"
        f"events {{ worker_connections 256; }}\nhttp {{\n{temporary}{text}\n}}\n"
    )
    file = folder / "nginx.conf"
    file.write_text(frame, encoding="utf-8")
    return ["nginx", "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(file)]


def haproxy_command(folder: Path, port: int, server_port: int) -> list[str]:
    """The shipped file without TLS."""
    text = (FOLDER / "haproxy.cfg").read_text(encoding="utf-8")
    bind = "bind :443 ssl crt /etc/haproxy/kaiwa.pem alpn http/1.1"
    assert bind in text
    text = text.replace(bind, f"bind 127.0.0.1:{port}")
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server_port}")
    file = folder / "haproxy.cfg"
    file.write_text(text, encoding="utf-8")
    return ["haproxy", "-db", "-f", str(file)]


@contextlib.asynccontextmanager
async def behind(
    kind: str, folder: Path, engine: FakeEngine | None = None, **settings: object
) -> AsyncIterator[tuple[Running, str]]:
    """A server, and the address of the proxy in front of it."""
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    make_command = {"nginx": nginx_command, "haproxy": haproxy_command}[kind]
    async with running_server(engine, **settings) as server:
        port = free_port()
        command = make_command(folder, port, server.address[1])
        with (folder / "access.log").open("a") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            await _answers(url)
            yield server, url
        finally:
            process.terminate()
            await process.wait()


async def _answers(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(20):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", PROXIES)
async def test_a_conversation_goes_through(kind: str, tmp_path: Path) -> None:
    """Handshake, events both ways and the close code."""
    async with behind(kind, tmp_path) as (server, url):
        where = url.replace("http", "ws", 1)
        async with connect(f"{where}/v1/realtime?model=aoi&note=SECRET") as client:
            for _ in range(3):
                await say(client, "Hello.")
                events = await receive_until(client, "response.done")
                deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
                assert "".join(deltas) == server.engine.reply
            server.stop.ask()
            await client.wait_closed()
            assert client.close_code == 1012
    assert "SECRET" not in (tmp_path / "access.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", PROXIES)
async def test_tokens_are_not_held_back(kind: str, tmp_path: Path) -> None:
    """The first event of a stream is here while the reply is still being made."""
    engine = FakeEngine(reply="x" * 200, step_s=0.01)
    async with behind(kind, tmp_path, engine) as (_, url), httpx.AsyncClient() as client:
        body = {
            "model": "aoi",
            "stream": True,
            "messages": [{"role": "user", "content": "Hello."}],
        }
        async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
            events = (line async for line in answer.aiter_lines() if line)
            first = json.loads((await anext(events)).removeprefix("data: "))
            assert first["object"] == "chat.completion.chunk"
            assert engine.num_live == 1
            assert [event async for event in events][-1] == "data: [DONE]"


@pytest.mark.parametrize("kind", PROXIES)
async def test_a_reader_who_leaves_frees_the_engine(kind: str, tmp_path: Path) -> None:
    """The proxy tells the server at once."""
    engine = FakeEngine(reply="x" * 100_000, step_s=0.01, obeys_max_tokens=False)
    async with behind(kind, tmp_path, engine, resume__detach_grace_s=0) as (_, url):
        async with connect(url.replace("http", "ws", 1) + "/v1/realtime?model=aoi") as client:
            await say(client, "Hello.")
            await receive_until(client, "response.output_text.delta")
            client.transport.abort()
        await until(lambda: not engine.num_live)


@pytest.mark.parametrize("kind", PROXIES)
async def test_numbers_stay_inside(kind: str, tmp_path: Path) -> None:
    """What is for the house is not shown to the street."""
    async with behind(kind, tmp_path) as (_, url), httpx.AsyncClient() as client:
        for path in ("/metrics", "/version"):
            assert (await client.get(url + path)).status_code == 404
