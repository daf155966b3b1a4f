"""One WebSocket as a session's driver sees it: synchronous writes, bounded closing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from server.sockets.frames import text_frame
from server.sockets.outbox import Wire
from server.sockets.owners import RealtimeConnection


class Socket(Wire, Protocol):
    """What a connection needs of its socket."""

    def on_drained(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever the transport has drained to the low-water mark."""
        ...

    async def receive(self) -> str | bytes | None:
        """Wait for the next message; ``None`` when the socket is closed, for whatever reason."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close politely, within the drain settings' patience; then cut off."""
        ...

    async def reaches(self) -> bool:
        """Wait until the other side has taken in all that was written; false if it never does."""
        ...

    @property
    def close_code(self) -> int | None:
        """How it was closed, once it was."""
        ...


class SocketWire:
    """A ``Socket`` made of the library's connection."""

    def __init__(self, connection: RealtimeConnection, *, close_timeout_s: float) -> None:
        """Wrap an open connection."""
        self._connection = connection
        self._close_timeout_s = close_timeout_s

    def buffered(self) -> int:
        """Bytes in the transport."""
        return self._connection.transport.get_write_buffer_size()

    def write(self, payload: bytes) -> None:
        """Send one text frame without waiting; we negotiate no extension that would change it."""
        connection = self._connection
        if connection.protocol.state is State.OPEN:
            connection.transport.write(text_frame(payload))

    def abort(self) -> None:
        """Cut the connection off."""
        self._connection.transport.abort()

    def on_drained(self, callback: Callable[[], None]) -> None:
        """Pass the transport's notice on."""
        self._connection.on_drained = callback

    async def receive(self) -> str | bytes | None:
        """Wait for the next message."""
        try:
            message = await self._connection.recv()
        except ConnectionClosed:
            return None
        self._connection.num_read += 1
        return message

    async def close(self, code: int, reason: str) -> None:
        """Close; the library waits for ever on a reader that has stalled, so the wait is bounded.

        The reason is cut to the 123 bytes that a close frame holds.
        """
        short = reason.encode()[:123].decode(errors="ignore")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._close_timeout_s):
                await self._connection.close(code, short)
        self._connection.transport.abort()

    async def reaches(self) -> bool:
        """Ask with a ping: its answer comes behind what was written before (RFC 6455, 5.5.2)."""
        try:
            await (await self._connection.ping())
        except ConnectionClosed:
            return False
        return True

    @property
    def close_code(self) -> int | None:
        """As the library knows it."""
        return self._connection.close_code
