"""The whole server on a free port, in a thread of its own, with a scripted engine behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.config import EngineConfig
from engine.progress import LoadProgress
from server.app import serve
from server.config.access import AuthConfig, ListenConfig
from server.config.conversations import HistoryConfig
from server.config.limits import LimitsConfig
from server.config.recording import RecordConfig
from server.config.settings import ServerSettings
from server.config.sockets import DrainConfig, ResumeConfig
from server.stop_signal import StopSignal
from tests.support.fake_engine import FakeEngine

START_TIMEOUT_S = 30.0


@dataclass
class StoppableEngine(FakeEngine):
    """A scripted engine that the server can end."""

    async def aclose(self) -> None:
        """Lose it."""
        self.die()


@dataclass(frozen=True)
class LiveServer:
    """A running server.

    Attributes:
        url: ``http://127.0.0.1:…``.
        engine: Behind it; its script may be changed while it runs.
        loop: Theirs, in another thread.
    """

    url: str
    engine: StoppableEngine
    loop: asyncio.AbstractEventLoop

    def call(self, act: Callable[[], object]) -> None:
        """Do something where the server and its engine live."""
        self.loop.call_soon_threadsafe(act)

    @property
    def realtime_url(self) -> str:
        """Where the WebSocket is."""
        return self.url.replace("http", "ws", 1) + "/v1/realtime"


@contextmanager
def live_server(
    reply: str = "[happy] Hello there.",
    *,
    api_keys_file: Path | None = None,
    step_s: float = 0.001,
    limits: LimitsConfig | None = None,
    resume: ResumeConfig | None = None,
    record: RecordConfig | None = None,
) -> Iterator[LiveServer]:
    """Run a server with the shipped characters; it is gone afterwards."""
    engine = StoppableEngine(reply=reply, step_s=step_s)
    settings = ServerSettings(
        engine=EngineConfig.from_flat(model="kaiwa-demo"),
        listen=ListenConfig(port=0),
        auth=AuthConfig(api_keys_file=api_keys_file),
        drain=DrainConfig(timeout_s=0.1, close_timeout_s=0.5),
        history=HistoryConfig(keep="memory"),
        limits=limits or LimitsConfig(),
        resume=resume or ResumeConfig(),
        record=record or RecordConfig(),
    )
    stop, ready = StopSignal(), threading.Event()
    urls: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def start(_config: EngineConfig, _progress: LoadProgress) -> StoppableEngine:
        return engine

    def on_ready(url: str) -> None:
        urls.append(url)
        loops.append(asyncio.get_running_loop())
        ready.set()

    def run() -> None:
        with asyncio.Runner() as runner:
            runner.run(serve(settings, start=start, stop=stop, on_ready=on_ready))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(START_TIMEOUT_S), "the server did not start"
    try:
        yield LiveServer(urls[0], engine, loops[0])
    finally:
        loops[0].call_soon_threadsafe(stop.ask)
        thread.join(START_TIMEOUT_S)
        assert not thread.is_alive(), "the server did not stop"
