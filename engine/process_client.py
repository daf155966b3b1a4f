"""The engine in a process of its own, behind a Unix socket that only its owner can reach."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from engine import messages
from engine.config import EngineConfig
from engine.engine_client import FrameListener, LossListener
from engine.errors import ConfigError, EngineDead, EngineError, ModelError
from engine.messages import BrokenFrame, FrameBuffer
from engine.outputs import EngineInfo
from engine.request import EngineRequest

CONNECT_TIMEOUT_S = 60.0
"""From starting the process to its connecting; loading the model comes after and has no limit."""
CLOSE_TIMEOUT_S = 5.0


class ProcessClient(asyncio.Protocol):
    """Starts, drives and ends one engine process."""

    def __init__(self, on_progress: Callable[[float, str], None] | None) -> None:
        self._on_progress = on_progress
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._folder: Path | None = None
        loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = loop.create_future()
        self._ready: asyncio.Future[EngineInfo] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._on_frame: FrameListener | None = None
        self._on_lost: LossListener | None = None
        self._closing = False

    @classmethod
    async def start(
        cls, config: EngineConfig, *, on_progress: Callable[[float, str], None] | None = None
    ) -> ProcessClient:
        """Start an engine process and wait until it is ready.

        Args:
            config: What the engine loads.
            on_progress: Called with a share of 1 and a phrase while it loads.

        Raises:
            ModelError: The checkpoint cannot be served.
            ConfigError: The settings cannot work.
            EngineDead: The process ended before it was ready.
        """
        self = cls(on_progress)
        try:
            await self._launch()
            self._send(messages.Start(config))
            await self._ready
        except BaseException:
            await self.aclose()
            raise
        return self

    @property
    def info(self) -> EngineInfo:
        """What the engine said of itself."""
        return self._ready.result()

    @property
    def pid(self) -> int:
        """The engine's process id."""
        assert self._process is not None
        return self._process.pid

    def listen(self, on_frame: FrameListener, on_lost: LossListener) -> None:
        """Say who hears of frames."""
        self._on_frame = on_frame
        self._on_lost = on_lost

    def submit(self, requests: Sequence[EngineRequest]) -> None:
        """Hand in requests.

        Raises:
            EngineDead: The process is gone.
        """
        self._send(messages.Submit(list(requests)))

    def cancel(self, request_ids: Sequence[str]) -> None:
        """Call requests off.

        Raises:
            EngineDead: The process is gone.
        """
        self._send(messages.Cancel(list(request_ids)))

    async def aclose(self) -> None:
        """Ask the process to end, insist after a while, and remove the socket."""
        self._closing = True
        if self._transport is not None and not self._transport.is_closing():
            self._send(messages.Shutdown())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await asyncio.shield(self._lost)
            self._transport.abort()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the first connection, if it comes from our own user; refuse any other."""
        transport = cast(asyncio.Transport, transport)  # uvloop's are, by duty and not by class
        stranger = messages.peer_uid(transport.get_extra_info("socket")) != os.getuid()
        if stranger or self._transport is not None:
            transport.abort()
            return
        self._transport = transport
        self._connected.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Hand each whole frame on."""
        try:
            for body in self._frames.feed(data):
                self._receive(messages.decode_from_engine(body))
        except BrokenFrame as error:
            self._lose(error.message)
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits that the engine is gone."""
        self._lose("the engine process ended")

    def _receive(self, message: messages.FromEngine) -> None:
        match message:
            case messages.Step(frame):
                assert self._on_frame is not None, "listen() comes before submit()"
                self._on_frame(frame)
            case messages.LoadProgress(share, what):
                if self._on_progress is not None:
                    self._on_progress(share, what)
            case messages.Ready(info):
                self._ready.set_result(info)
            case messages.Failed():
                if not self._ready.done():
                    self._ready.set_exception(_as_error(message))
            case messages.Heartbeat():
                pass

    def _lose(self, sentence: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(EngineDead(sentence))
            self._ready.exception()  # somebody may have stopped waiting
        if self._lost.done():
            return
        self._lost.set_result(None)
        if self._on_lost is not None and not self._closing:
            self._on_lost(sentence)

    def _send(self, message: messages.ToEngine) -> None:
        if self._transport is None or self._transport.is_closing():
            raise EngineDead("the engine process is gone; restart the server")
        self._transport.write(messages.encode(message))

    async def _launch(self) -> None:
        loop = asyncio.get_running_loop()
        # mkdtemp makes the folder with mode 0700: nobody else can reach the socket.
        self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="kaiwa-"))
        path = self._folder / "engine.sock"
        listener = await loop.create_unix_server(lambda: self, path=str(path), backlog=1)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine.worker",
            str(path),
            stdin=asyncio.subprocess.DEVNULL,
            env=_environment(),
        )
        exited = asyncio.create_task(self._process.wait())
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                either: set[asyncio.Future[Any]] = {exited, self._connected}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise EngineDead(
                f"the engine process did not connect within {CONNECT_TIMEOUT_S:.0f} s"
            ) from None
        finally:
            exited.cancel()
            listener.close()
        if not self._connected.done():
            raise EngineDead(
                f"the engine process ended with code {self._process.returncode} before connecting"
            )


def _environment() -> dict[str, str]:
    """Let the child import this very engine, wherever the server was started."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _as_error(failed: messages.Failed) -> EngineError:
    family = ConfigError if failed.code == ConfigError.code else ModelError
    error = family(failed.message, param=failed.param)
    error.code = failed.code
    return error
