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

from clients.load.event_text import EventText
from clients.python.connecting import trust

_READ_BYTES = 1 << 16
_MAX_REFUSAL_BYTES = 1 << 16


class HttpRefusal(Exception):
    """The server answered with something else than success.

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
        self._is_aborted = self._is_paused = False  # also before there is a connection

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._writer is not None

    def abort(self) -> None:
        """Cut the connection, or the one that is being opened as soon as the request is sent."""
        self._is_aborted = True
        self._apply()

    def pause(self) -> None:
        """Take nothing in; the kernel's buffers fill up."""
        self._is_paused = True
        self._apply()

    def resume(self) -> None:
        """Go on reading."""
        self._is_paused = False
        self._apply()

    def _apply(self) -> None:
        if self._writer is None or self._writer.transport.is_closing():
            return
        transport = self._writer.transport
        if self._is_aborted:
            transport.abort()
        elif self._is_paused:
            transport.pause_reading()  # type: ignore[attr-defined]
        else:
            transport.resume_reading()  # type: ignore[attr-defined]

    async def post(self, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[bytes]:
        """Send, and give out the data of each event as it comes.

        Raises:
            OSError: Nobody answers, or the connection is lost.
            HttpRefusal: The answer is an error, or points elsewhere.
            h11.RemoteProtocolError: It is no HTTP.
            h11.LocalProtocolError: The address or a header cannot be sent; or a UnicodeError.
            ConnectFailed: The certificate authority's file is none.
            EventTooLong: An event does not end.
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
            self._apply()
            async for data in _events(connection, reader):
                yield data
        finally:
            writer.transport.abort()


async def _events(connection: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    status, is_success, refusal = 0, False, b""
    text = EventText()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
            is_success = 200 <= status < 300
        elif isinstance(event, h11.Data):
            if not is_success:
                refusal = (refusal + event.data)[:_MAX_REFUSAL_BYTES]
                continue
            for data in text.feed(event.data):
                yield data
        elif isinstance(event, h11.EndOfMessage):
            if not is_success:
                raise HttpRefusal(status, refusal)
            for data in text.finish():
                yield data
            return
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the connection ended before the answer did")
