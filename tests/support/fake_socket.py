"""A socket in memory: the test sends and reads, and says how fast the reader is."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any


class FakeSocket:
    """Satisfies ``server.sockets.wire.Socket``.

    Attributes:
        sent: Events that were written, decoded.
        closed: Code and reason, once the server has closed it.
        is_aborted: Whether it was cut off.
        buffer: Bytes that the transport claims to hold.
    """

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.is_aborted = False
        self.buffer = 0
        self.drained: Callable[[], None] | None = None
        self._counts: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue()

    @property
    def kinds(self) -> list[str]:
        """Types of what was written."""
        return [event["type"] for event in self.sent]

    async def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait until so many events of a kind were written; returns the last of them."""
        async with asyncio.timeout(600):
            while self._counts[kind] < count:
                self._news.clear()
                await self._news.wait()
        return [event for event in self.sent if event["type"] == kind][-1]

    def send(self, event: object) -> None:
        """Let the client say something; text and bytes go as they are."""
        text = event if isinstance(event, str | bytes) else json.dumps(event)
        self._incoming.put_nowait(text)

    def hang_up(self) -> None:
        """Let the client go."""
        self._incoming.put_nowait(None)

    def drain(self) -> None:
        """Let the reader catch up."""
        self.buffer = 0
        assert self.drained is not None
        self.drained()

    def buffered(self) -> int:
        return self.buffer

    def write(self, payload: bytes) -> None:
        if self.closed is None and not self.is_aborted:
            event = json.loads(payload)
            self.sent.append(event)
            self._counts[event["type"]] += 1
            self._news.set()

    def abort(self) -> None:
        self.is_aborted = True
        self.hang_up()

    def on_drained(self, callback: Callable[[], None]) -> None:
        self.drained = callback

    async def receive(self) -> str | bytes | None:
        return await self._incoming.get()

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.hang_up()

    async def reaches(self) -> bool:
        await asyncio.sleep(0)
        return not self.is_aborted

    @property
    def close_code(self) -> int | None:
        return None if self.closed is None else self.closed[0]
