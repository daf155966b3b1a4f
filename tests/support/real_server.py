"""A whole Kaiwa as users start it: the command line, two processes, a real model."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_STOP_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class RealServer:
    """A running server."""

    url: str
    process: subprocess.Popen[str]

    @property
    def realtime_url(self) -> str:
        """Where its WebSocket is."""
        return self.url.replace("http", "ws", 1) + "/v1/realtime"

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        assert samples, f"there is no metric {name}"
        return sum(map(float, samples))


@contextlib.contextmanager
def real_server(*arguments: str, **environment: str) -> Iterator[RealServer]:
    """Run ``kaiwa serve`` on a free port until the block ends; it must then end cleanly.

    Args:
        arguments: Of its command line.
        environment: Settings that have no option, as ``KAIWA_…``.
    """
    command = [sys.executable, "-m", "server", "serve", "--port", "0", "--log-level", "warning"]
    state = tempfile.TemporaryDirectory()  # conversations of tests are not the user's
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": state.name, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        ready = process.stdout.readline().split()
        assert ready[:1] == ["ready"], f"the server said {ready} instead of being ready"
        yield RealServer(ready[1], process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(_STOP_PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        state.cleanup()
