"""The whole server around the scripted engine: in this process, or as a process of its own.

``python -m tests.support.fake_server REPLY STEP_S [PATH=VALUE …]`` serves until it gets a signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from server.app import serve
from server.config_loader import load_settings
from server.log_lines import configure_logging
from server.stop_signal import StopSignal
from tests.support.fake_engine import FakeEngine

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    """A server that can answer.

    Attributes:
        url: ``http://HOST:PORT``.
        engine: What it talks to.
        stop: Makes it drain.
        exit_code: Of the serving task.
    """

    url: str
    engine: FakeEngine
    stop: StopSignal
    exit_code: asyncio.Task[int]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.partition("://")[2].rpartition(":")
        return host, int(port)

    def socket_url(self, query: str = "model=aoi") -> str:
        """Where the realtime socket is."""
        return self.url.replace("http", "ws", 1) + f"/v1/realtime?{query}"


@contextlib.asynccontextmanager
async def running_server(
    engine: FakeEngine | None = None, **settings: object
) -> AsyncIterator[Running]:
    """Serve on a free port; settings are named ``room__name``."""
    engine = engine or FakeEngine()
    paths = {name.replace("__", ".", 1): value for name, value in settings.items()}
    loaded = load_settings(command_line={"listen.port": 0, "history.keep": "memory", **paths})
    stop, ready = StopSignal(), asyncio.get_running_loop().create_future()

    async def start(*_: object) -> FakeEngine:
        return engine

    task = asyncio.create_task(
        serve(loaded.settings, start=start, stop=stop, on_ready=ready.set_result)
    )
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield Running(ready.result(), engine, stop, task)
    finally:
        stop.ask()
        stop.ask()
        await task


@contextlib.asynccontextmanager
async def server_process(
    *arguments: str,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The scripted server as a process; yields it and its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.fake_server", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("ready http://127.0.0.1:")
        yield process, line.split("http://")[1].strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def main(arguments: list[str]) -> int:
    """Serve in a process of its own."""
    reply, step_s, *rest = arguments
    command_line: dict[str, object] = {"listen.port": 0, "history.keep": "memory"}
    for setting in rest:
        path, _, value = setting.partition("=")
        command_line[path] = float(value) if value[:1].isdigit() else value
    loaded = load_settings(command_line=command_line)
    configure_logging(loaded.settings.log)
    engine = FakeEngine(reply=reply, step_s=float(step_s))

    async def start(*_: object) -> FakeEngine:
        return engine

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(loaded.settings, start=start))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
