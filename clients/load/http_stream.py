"""One HTTP request over a connection of its own, its answer read as server-sent events.

The protocol is h11's; the sockets are asyncio's. A connection each costs little beside a reply, is
what a browser's first request costs, and lets a reply be called off by closing it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import h11

from clients.python.connecting import trust

_READ_BYTES = 1 << 16
_MAX_REFUSAL_BYTES = 1 << 16


class HttpRefusal(Exception):
    """The server answered with an error.

    Attributes:
        status: Of the answer.
        body: Its beginning.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}: {body[:200].decode(errors='replace')}")
        self.status = status
        self.body = body


class EventStream:
    """A POST whose answer is a stream of events."""

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        """Know where to; ``http`` or ``https``."""
        self._place = urlsplit(url)
        self._ca_file = ca_file
        self._writer: asyncio.StreamWriter | None = None

    def abort(self) -> None:
        """Cut the connection."""
        if self._writer is not None:
            self._writer.transport.abort()

    def pause(self) -> None:
        """Take nothing in; the kernel's buffers fill up."""
        if self._writer is not None:
            self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Go on reading."""
        if self._writer is not None and not self._writer.transport.is_closing():
            self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def post(self, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[bytes]:
        """Send, and give out the data of each event as it comes.

        Raises:
            OSError: Nobody answers, or the connection is lost.
            HttpRefusal: The answer is an error.
            h11.RemoteProtocolError: It is no HTTP.
        """
        secure: ssl.SSLContext | bool | None = None
        if self._place.scheme == "https":
            secure = True if self._ca_file is None else trust(self._ca_file)
        port = self._place.port or (443 if secure else 80)
        reader, writer = await asyncio.open_connection(self._place.hostname, port, ssl=secure)
        self._writer = writer
        try:
            connection = h11.Connection(h11.CLIENT)
            target = self._place.path + (f"?{self._place.query}" if self._place.query else "")
            head = h11.Request(
                method="POST",
                target=target or "/",
                headers=[
                    ("Host", self._place.netloc.rpartition("@")[2]),
                    ("Connection", "close"),
                    ("Content-Type", "application/json"),
                    ("Accept", "text/event-stream"),
                    ("Content-Length", str(len(body))),
                    *headers.items(),
                ],
            )
            writer.write(
                (connection.send(head) or b"")
                + (connection.send(h11.Data(data=body)) or b"")
                + (connection.send(h11.EndOfMessage()) or b"")
            )
            async for data in _events(connection, reader):
                yield data
        finally:
            writer.transport.abort()
            self._writer = None


async def _events(connection: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    status, rest = 0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            rest += event.data
            if status >= 400:
                rest = rest[:_MAX_REFUSAL_BYTES]
                continue
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    yield line[5:].strip()
        elif isinstance(event, h11.EndOfMessage):
            if status >= 400:
                raise HttpRefusal(status, rest)
            return
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the connection ended before the answer did")
