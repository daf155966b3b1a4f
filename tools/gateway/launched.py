"""Servers in processes of their own: started, watched, ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.gateway.process_figures import Snapshot

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 60.0


@dataclass(slots=True)
class Launched:
    """A server that is ready.

    Attributes:
        url: ``http://HOST:PORT``, or ``ws://…`` of a bare one.
        process: It.
        log: What it wrote to stderr.
        lag_file: Where it writes how late its loop was; ``None`` for nowhere.
        started_s: Seconds it took to be ready.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    lag_file: Path | None
    started_s: float

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.partition("://")[2].rpartition(":")
        return host, int(port)

    def look(self) -> Snapshot:
        """What it has taken until now."""
        return Snapshot.take(self.process.pid)

    def metrics(self) -> dict[str, float]:
        """Samples of ``/metrics``: by name, those of all labels added up."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as answer:
            return add_up(answer.read().decode())

    def late_s(self, begin: float, end: float) -> list[float]:
        """How late the loop was at the beats between two moments, in seconds."""
        assert self.lag_file is not None
        beats = array("d")
        data = self.lag_file.read_bytes()
        beats.frombytes(data[: len(data) // 16 * 16])
        pairs = zip(beats[::2], beats[1::2], strict=True)
        return [late for at, late in pairs if begin <= at <= end]

    def log_text(self) -> str:
        """All of its log."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Send SIGTERM and wait; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE_S)


def add_up(text: str) -> dict[str, float]:
    """Read the Prometheus text format; samples of one name are added."""
    sums: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums


@contextlib.contextmanager
def launched(
    module: str, arguments: Sequence[str], *, lag_file: Path | None = None
) -> Iterator[Launched]:
    """Run a module that prints ``ready URL``; it is killed at the end if it still runs.

    Conversations are kept in a file of its own, unless settings say otherwise.

    Raises:
        SystemExit: It ended, or took too long; with the end of its log.
    """
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "KAIWA_HISTORY_FILE": f"{folder}/conversations.db",
            },
        )
        assert process.stdout is not None
        try:
            words = process.stdout.readline().decode().split()
            if words[:1] != ["ready"]:
                log.seek(0)
                raise SystemExit(f"{module} did not start:\n{log.read().decode()[-3000:]}")
            yield Launched(words[1], process, log, lag_file, time.monotonic() - begun)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()


@contextlib.contextmanager
def scripted(
    step_s: float, settings: Sequence[str] = (), *, has_lag: bool = False
) -> Iterator[Launched]:
    """Run the server with the scripted engine.

    Args:
        step_s: Seconds between two tokens of a reply.
        settings: ``PATH=VALUE`` pairs, over the defaults.
        has_lag: Have the loop's lateness written down.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lag" if has_lag else None
        lag = ["--lag", str(file)] if file is not None else []
        arguments = [str(step_s), "log.level=warning", *settings, *lag]
        with launched("tools.gateway.scripted_server", arguments, lag_file=file) as server:
            yield server


@contextlib.contextmanager
def real(arguments: Sequence[str] = ()) -> Iterator[Launched]:
    """Run ``kaiwa serve`` as users do, with more arguments."""
    command = ["serve", "--port", "0", "--log-level", "warning", *arguments]
    with launched("server", command) as server:
        yield server
