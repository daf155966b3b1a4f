"""The engine process: owns the device, takes commands from a socket, sends one frame per step.

Two threads: one reads commands, the other steps. The stepping thread takes whatever commands have
come before each step, so a cancel never waits longer than the step that is running.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from engine import messages
from engine.core import EngineCore
from engine.errors import EngineDead, EngineError
from engine.messages import BrokenFrame, FrameBuffer
from engine.outputs import StepFrame

logger = logging.getLogger(__name__)

HEARTBEAT_S = 1.0
"""How often an engine says that it lives while it is idle, or loads."""
_PR_SET_PDEATHSIG = 1


class Wake:
    """A grammar was compiled: look again at whether there is work."""


class Link:
    """The engine's end of the socket: frames out at once, commands in through a queue.

    ``None`` in the queue says that the server's end is gone.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self.commands: queue.SimpleQueue[messages.ToEngine | Wake | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="kaiwa-commands", daemon=True)
        self._reader.start()

    def send(self, message: messages.FromEngine) -> None:
        """Send one message; blocks while the server is not reading."""
        with self._sending:
            self._connection.sendall(messages.encode(message))

    @contextlib.contextmanager
    def heartbeats(self) -> Iterator[None]:
        """Say from a thread of its own that this process lives, while it is busy with its start."""
        is_over = threading.Event()

        def beat() -> None:
            with contextlib.suppress(OSError):  # the server is gone; whoever loads will find out
                while not is_over.wait(HEARTBEAT_S):
                    self.send(messages.Heartbeat())

        thread = threading.Thread(target=beat, name="kaiwa-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _read(self) -> None:
        frames = FrameBuffer()
        try:
            while data := self._connection.recv(65536):
                for body in frames.feed(data):
                    self.commands.put(messages.decode_to_engine(body))
        except (OSError, BrokenFrame) as error:
            logger.error("the command link broke: %s", error)
        self.commands.put(None)


def serve(core: EngineCore, link: Link) -> None:
    """Step the core until a shutdown is asked for, the server is gone, or the device is broken."""
    commands = link.commands
    if core.gate is not None:
        core.gate.when_ready(lambda: commands.put(Wake()))
    while True:
        while core.has_work or not commands.empty():
            while not commands.empty():
                if not _obey(core, link, commands.get()):
                    return
            if core.has_work:
                frame = core.step()
                if frame.outputs or frame.stats is not None:
                    link.send(messages.Step(frame))
            if core.is_broken:
                sentence = "the process is out of memory, or every step fails; see the log"
                link.send(messages.Failed(EngineDead.code, sentence))
                return
        try:
            command = commands.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            link.send(messages.Heartbeat())
            continue
        if not _obey(core, link, command):
            return


def _obey(core: EngineCore, link: Link, command: messages.ToEngine | Wake | None) -> bool:
    """Carry a command out; returns whether to go on."""
    frame = StepFrame([])
    match command:
        case messages.Submit(requests):
            frame = core.submit(requests)
        case messages.Update(updates):
            frame = core.update(updates)
        case messages.Cancel(request_ids):
            frame = core.cancel(request_ids)
        case messages.Release(conversation_ids):
            core.release(conversation_ids)
        case Wake():
            pass
        case messages.Start():
            logger.error("a second start was asked for and passed over")
        case messages.Shutdown() | None:
            return False
    if frame.outputs:
        link.send(messages.Step(frame))
    return True


def run(socket_path: Path) -> int:
    """Connect to the server's socket, load what it says, serve.

    Returns:
        The process's exit code.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(socket_path))
    _, owner = messages.peer_identity(connection)
    if owner != os.getuid():
        logger.error("the socket belongs to user %d; refused", owner)
        return 1
    link = Link(connection)
    start = link.commands.get()
    if not isinstance(start, messages.Start):
        logger.error("the first frame was no start")
        return 1
    try:
        # Imported here: the exit on a bad socket should not pay for torch.
        with link.heartbeats():
            from engine.build import build_core
            from engine.model.threads import prepare_stepping_thread

            prepare_stepping_thread()
            core = build_core(
                start.config,
                on_progress=lambda share, what: link.send(messages.LoadProgress(share, what)),
            )
    except EngineError as error:
        link.send(messages.Failed(error.code, error.message, error.param))
        return 1
    except Exception as error:
        logger.exception("loading failed")
        link.send(messages.Failed("engine_error", f"loading failed: {type(error).__name__}"))
        return 1
    # Everything alive now stays alive; collections during steps need not look at it.
    gc.collect()
    gc.freeze()
    core.is_replaceable = start.config.supervision.max_restarts > 0
    link.send(messages.Ready(core.info))
    try:
        serve(core, link)
    except BrokenPipeError:
        logger.warning("the server is gone")
    return 0


def main() -> None:
    """Run as ``python -m engine.worker SOCKET``; started by the server, not by hand."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    # Ctrl-C reaches the whole process group; the server decides when the engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    code = run(Path(sys.argv[1]))
    logging.shutdown()
    sys.stdout.flush()
    # Torch's own threads may still be running; there is nothing left to save.
    os._exit(code)


if __name__ == "__main__":
    main()
