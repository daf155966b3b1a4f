"""The engine in a process of its own, behind a Unix socket that only its owner can reach."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from engine import messages
from engine.config import EngineConfig
from engine.engine_client import FrameListener, LossListener, NewsListener
from engine.errors import EngineDead, error_of
from engine.messages import BrokenFrame, FrameBuffer
from engine.outputs import EngineInfo, StepFrame
from engine.request import EngineRequest, RequestUpdate
from engine.supervision.watchdog import LOOK_EVERY_S, Watchdog

CONNECT_TIMEOUT_S = 60.0
"""From starting the process to its connecting; loading the model may take any time after, as long
as it says that it lives."""
CLOSE_TIMEOUT_S = 5.0


class ProcessClient:
    """Starts, drives and ends one engine process."""

    def __init__(self, on_progress: Callable[[float, str], None] | None) -> None:
        self._on_progress = on_progress
        self._transport: asyncio.Transport | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._exit_watch: asyncio.Task[None] | None = None
        self._folder: Path | None = None
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._ready: asyncio.Future[EngineInfo] = self._loop.create_future()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._on_frames: FrameListener | None = None
        self._on_lost: LossListener | None = None
        self._last_heard = self._loop.time()
        self._closing = False
        self._num_heard = 0
        self._is_idle = False
        self._is_broken = False
        self._is_killed = False

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
            await self._wait_until_ready(Watchdog(config.supervision))
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

    @property
    def seconds_silent(self) -> float:
        """Since anything was heard of the engine."""
        return self._loop.time() - self._last_heard

    @property
    def num_heard(self) -> int:
        """Messages that the engine has sent so far."""
        return self._num_heard

    @property
    def is_idle(self) -> bool:
        """Whether it said so last, and was sent nothing since."""
        return self._is_idle

    @property
    def is_broken(self) -> bool:
        """Whether it said, after it was ready, that it cannot go on."""
        return self._is_broken

    def listen(
        self,
        on_frames: FrameListener,
        on_lost: LossListener,
        on_news: NewsListener | None = None,
    ) -> None:
        """Say who hears of frames; it is not restarted from here."""
        self._on_frames = on_frames
        self._on_lost = on_lost
        if self._lost.done() and not self._closing:
            self._loop.call_soon(on_lost, self._lost.result())

    def submit(self, requests: Sequence[EngineRequest]) -> None:
        """Hand in requests.

        Raises:
            EngineDead: The process is gone.
        """
        self._send(messages.Submit(list(requests)))

    def update(self, updates: Sequence[RequestUpdate]) -> None:
        """Tell news of live requests; nothing happens when the engine is gone."""
        with contextlib.suppress(EngineDead):
            self._send(messages.Update(list(updates)))

    def release(self, conversation_ids: Sequence[str]) -> None:
        """Say which conversations will not go on; nothing happens when the engine is gone."""
        with contextlib.suppress(EngineDead):
            self._send(messages.Release(list(conversation_ids)))

    def cancel(self, request_ids: Sequence[str]) -> None:
        """Call requests off; nothing happens when the engine is gone."""
        with contextlib.suppress(EngineDead):
            self._send(messages.Cancel(list(request_ids)))

    def kill(self) -> None:
        """End the process at once, stopped or not; ``aclose`` is to follow."""
        self._is_killed = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def aclose(self) -> None:
        """Ask the process to end, insist after a while, and remove the socket."""
        self._closing = True
        process = self._process
        if process is not None:
            if self._is_serving and not self._is_killed:
                self._send(messages.Shutdown())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_TIMEOUT_S):
                        await process.wait()
            if process.returncode is None:  # loading reads no commands; there is nothing to save
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await process.wait()
        if self._exit_watch is not None:
            await asyncio.gather(self._exit_watch, return_exceptions=True)
        if self._transport is not None:
            self._transport.abort()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _is_serving(self) -> bool:
        return (
            self._ready.done()
            and not self._ready.cancelled()
            and self._ready.exception() is None
            and self._transport is not None
            and not self._transport.is_closing()
        )

    async def _launch(self) -> None:
        # mkdtemp makes the folder with mode 0700: nobody else can reach the socket.
        self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="kaiwa-"))
        path = self._folder / "engine.sock"
        # Listening begins before the process starts, accepting after: then its pid is known.
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(str(path))
        door.listen(4)
        door.setblocking(False)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine.worker",
            str(path),
            stdin=asyncio.subprocess.DEVNULL,
            env=_environment(),
        )
        self._exit_watch = asyncio.create_task(self._watch_exit(self._process))
        listener = await self._loop.create_unix_server(lambda: _Wire(self), sock=door)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.wait(
                    (self._connected, self._lost), return_when=asyncio.FIRST_COMPLETED
                )
        except TimeoutError:
            raise EngineDead(
                f"the engine process did not connect within {CONNECT_TIMEOUT_S:.0f} s; is the "
                "machine out of memory or processor time?"
            ) from None
        finally:
            listener.close()
        if not self._connected.done():
            await self._ready  # raises what ended it

    async def _wait_until_ready(self, watchdog: Watchdog) -> None:
        while not self._ready.done():
            await asyncio.wait((self._ready,), timeout=LOOK_EVERY_S)
            hung = watchdog.look_at_start(self._loop.time(), self._num_heard)
            if hung is not None and not self._ready.done():
                self.kill()
                raise EngineDead(hung)
        self._ready.result()

    async def _watch_exit(self, process: asyncio.subprocess.Process) -> None:
        self._lose(f"the engine process ended {_how(await process.wait())}")

    def accept(self, transport: asyncio.Transport) -> bool:
        """Take the connection of the very process that was started; nobody else's."""
        peer = transport.get_extra_info("socket")
        expected = (self.pid, os.getuid())
        if messages.peer_identity(peer) != expected or self._transport is not None:
            return False
        self._transport = transport
        self._connected.set_result(None)
        return True

    def receive(self, said: Sequence[messages.FromEngine]) -> None:
        """Hand on what the engine has said in one piece; steps that follow each other together."""
        self._last_heard = self._loop.time()
        self._num_heard += len(said)
        frames: list[StepFrame] = []
        for message in said:
            self._is_idle = isinstance(message, messages.Heartbeat)
            if isinstance(message, messages.Step):
                frames.append(message.frame)
                continue
            self._tell(frames)
            frames = []
            self._hear(message)
        self._tell(frames)

    def _tell(self, frames: Sequence[StepFrame]) -> None:
        if frames:
            assert self._on_frames is not None, "listen() comes before submit()"
            self._on_frames(frames)

    def _hear(self, message: messages.FromEngine) -> None:
        match message:
            case messages.LoadProgress(share, what):
                if self._on_progress is not None:
                    self._on_progress(share, what)
            case messages.Ready(info):
                if not self._ready.done():
                    self._ready.set_result(info)
            case messages.Failed(code, sentence, param):
                if self._ready.done():
                    self._is_broken = True
                    self._lose(sentence)
                else:
                    self._ready.set_exception(error_of(code, sentence, param))
            case messages.Heartbeat():
                pass

    def lose(self, sentence: str) -> None:
        """Take note that the connection is gone; the exit says why, if there is one soon."""
        if self._exit_watch is None or self._exit_watch.done():
            self._lose(sentence)
        else:
            self._loop.call_later(_EXIT_PATIENCE_S, self._lose, sentence)

    def _lose(self, sentence: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(EngineDead(f"{sentence}; see the log above"))
            self._ready.exception()  # somebody may have stopped waiting
        if self._lost.done():
            return
        self._lost.set_result(sentence)
        if self._on_lost is not None and not self._closing:
            self._on_lost(sentence)

    def _send(self, message: messages.ToEngine) -> None:
        if self._transport is None or self._transport.is_closing():
            raise EngineDead("the engine process is gone; restart the server")
        self._is_idle = False
        self._transport.write(messages.encode(message))


_EXIT_PATIENCE_S = 0.2


class _Wire(asyncio.Protocol):
    """One connection to the socket: the engine's, or a stranger's, which is dropped."""

    def __init__(self, client: ProcessClient) -> None:
        self._client = client
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask whether this is the engine."""
        accepted = cast(asyncio.Transport, transport)  # uvloop's are, by duty and not by class
        if self._client.accept(accepted):
            self._transport = accepted
        else:
            accepted.abort()

    def data_received(self, data: bytes) -> None:
        """Hand each whole message on."""
        if self._transport is None:
            return
        try:
            said = [messages.decode_from_engine(body) for body in self._frames.feed(data)]
        except BrokenFrame as error:
            self._client.lose(error.message)
            self._transport.abort()
        else:
            self._client.receive(said)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the client, if this was the engine."""
        if self._transport is not None:
            self._client.lose("the engine closed its connection")


# By default GNU OpenMP's threads spin for milliseconds between operators. On two cores that the
# server shares, a step of 15 ms took 247 in one run beside other work, and 16 with short spins.
_PATIENT_THREADS = {"GOMP_SPINCOUNT": "500"}
# By default glibc returns every large buffer to the system, and the next step faults its pages in
# again: a step of 32 streams took 123 against 78 ms with one thread, 86 against 40 with two.
_KEPT_BUFFERS = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}


def _environment() -> dict[str, str]:
    """Let the child import this very engine, wait patiently and keep its buffers.

    What the user has set stays as it is.
    """
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    defaults = dict(_KEPT_BUFFERS)
    if "OMP_WAIT_POLICY" not in os.environ:
        defaults |= _PATIENT_THREADS
    return {**defaults, **os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _how(returncode: int) -> str:
    if returncode < 0:
        return f"by signal {signal.Signals(-returncode).name}"
    return f"with exit code {returncode}"
