"""Records the live feed of an engine's steps while something else talks to the server."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_TIMEOUT_S = 10.0


class EngineTrace:
    """Reads ``/v1/engine/live`` in a thread and writes one step per line.

    Args:
        url: The server's WebSocket address; the feed is on the same port.
        path: Where the steps go, as JSON lines.
    """

    def __init__(self, url: str, path: Path) -> None:
        parts = urlsplit(url)
        scheme = "https" if parts.scheme == "wss" else "http"
        self._url = urlunsplit((scheme, parts.netloc, "/v1/engine/live", "", ""))
        self._path = path
        self._steps: list[dict[str, Any]] = []
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._read, name="kaiwa-trace", daemon=True)

    async def start(self) -> None:
        """Begin to read; returns once the feed is open."""
        self._thread.start()
        await asyncio.to_thread(self._started.wait, _TIMEOUT_S)

    async def finish(self) -> str:
        """Stop, write the file, and return a few lines worth looking at."""
        await asyncio.sleep(0.3)  # the feed sends the last steps within a tenth of a second
        self._stopping.set()
        await asyncio.to_thread(self._thread.join, _TIMEOUT_S)
        lines = "".join(json.dumps(step) + "\n" for step in self._steps)
        self._path.write_text(lines, encoding="utf-8")
        return f"{len(self._steps)} steps in {self._path}\n{self._excerpt()}"

    def _read(self) -> None:
        with urllib.request.urlopen(self._url, timeout=_TIMEOUT_S) as feed:
            for line in feed:
                self._started.set()
                if line.startswith(b"data:"):
                    self._steps += json.loads(line[5:])["steps"]
                if self._stopping.is_set():
                    return

    def _excerpt(self) -> str:
        """Show steps in which somebody joins or leaves while others decode."""
        for before, step in zip(self._steps, self._steps[1:], strict=False):
            others = sum(kind == "decode" for _, kind, _ in step["batch"])
            if step["joined"] and step["left"] and others >= 2:
                return "\n".join(map(_describe, (before, step)))
        return "no step in which one joined and another left while others decoded"


def _describe(step: dict[str, Any]) -> str:
    batch = " ".join(f"{name}:{kind}+{count}" for name, kind, count in step["batch"])
    return (
        f"step {step['step']}: {step['running']} running, joined {step['joined']}, "
        f"left {step['left']}, {step['kv_blocks_used']} blocks · {batch}"
    )
