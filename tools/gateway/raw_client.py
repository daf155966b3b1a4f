"""A WebSocket client that costs little, so that thousands of them leave the machine to the server.

It reads frames without looking into them, answers pings and the server's goodbye, and hands on the
text of those that are no deltas. Frames from a server are not masked; its own are, with a key of
zeros, which is as good as any (RFC 6455, 5.3) and leaves the text as it is.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence

import msgspec

_KEY = "a2Fpd2Eta2Fpd2Eta2Fpdw=="
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_DELTA = b'{"type":"response.output_text.delta"'
_DELTA_TEXT = b'"delta":"'
_AROUND_TEXT = len(_DELTA_TEXT + b'"}')


def request(target: str, address: tuple[str, int]) -> bytes:
    """The handshake's request (RFC 6455, 4.1)."""
    host, port = address
    return (
        f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    """One masked frame."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    return head + bytes(4) + payload


def ask(text: str) -> bytes:
    """Frames that say something and want a reply."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    events = ({"type": "conversation.item.create", "item": item}, {"type": "response.create"})
    return b"".join(frame(msgspec.json.encode(event)) for event in events)


class RawClient(asyncio.Protocol):
    """One connection.

    Attributes:
        opened: Done when the handshake is; an error where it was refused.
        talking: Done when the first delta of a reply's text has come.
        closed: Done when the connection is gone.
        num_frames: Text frames that came.
        num_deltas: Of them, deltas of a reply's text.
        num_bytes: Of the text frames.
        num_text_bytes: Of the deltas' text, as it is written in JSON.
        close_code: Of the server's close frame; ``None`` without one.
    """

    def __init__(self, handshake: bytes, on_text: Callable[[bytes], None] = lambda _: None) -> None:
        """Prepare.

        Args:
            handshake: See ``request``.
            on_text: Called with the text of every frame that is no delta of text.
        """
        loop = asyncio.get_running_loop()
        self._handshake = handshake
        self._on_text = on_text
        self._data = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = loop.create_future()
        self.talking: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.num_frames = self.num_deltas = self.num_bytes = self.num_text_bytes = 0
        self.close_code: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed before the handshake was answered"))
            self.opened.exception()
        if not self.closed.done():
            self.closed.set_result(None)

    def write(self, frames: bytes) -> None:
        """Send frames."""
        assert self._transport is not None
        self._transport.write(frames)

    def abort(self) -> None:
        """Cut the connection."""
        assert self._transport is not None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take in what comes."""
        data = self._data + data if self._data else data
        begin = 0
        if not self._is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._data = data
                return
            if not data.startswith(b"HTTP/1.1 101 "):
                self.opened.set_exception(ConnectionError(data[:60].decode(errors="replace")))
                self.abort()
                return
            self._is_open = True
            self.opened.set_result(None)
            begin = end + 4
        self._data = data[self._take_frames(data, begin) :]

    def _take_frames(self, data: bytes, begin: int) -> int:
        """Take whole frames; returns where the rest begins."""
        size = len(data)
        while size - begin >= 2:
            opcode, length = data[begin] & 0x0F, data[begin + 1]
            start = begin + 2
            if length >= 126:
                width = 2 if length == 126 else 8
                if size - start < width:
                    break
                length = int.from_bytes(data[start : start + width], "big")
                start += width
            if size - start < length:
                break
            begin = start + length
            self._take_frame(opcode, data[start:begin])
        return begin

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self.num_frames += 1
            self.num_bytes += len(payload)
            if payload.startswith(_DELTA):
                self.num_deltas += 1
                self.num_text_bytes += len(payload) - payload.index(_DELTA_TEXT) - _AROUND_TEXT
                if self.num_deltas == 1:
                    self.talking.set_result(None)
            else:
                self._on_text(payload)
        elif opcode == _PING:
            self.write(frame(payload, _PONG))
        elif opcode == _CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else None
            self.write(frame(payload, _CLOSE))


async def open_raw(
    address: tuple[str, int],
    target: str,
    on_text: Callable[[bytes], None] = lambda _: None,
    *,
    from_host: str | None = None,
) -> RawClient:
    """Open a connection.

    Args:
        address: Of the server.
        target: Path and query.
        on_text: See ``RawClient``.
        from_host: Local address; more than one of them have more ports.

    Raises:
        OSError: It could not be opened, or the handshake was refused.
    """
    local = (from_host, 0) if from_host is not None else None
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: RawClient(request(target, address), on_text), *address, local_addr=local
    )
    await client.opened
    return client


class StalledReaders:
    """Clients that ask for large texts and never read a byte."""

    def __init__(self, address: tuple[str, int], target: str, wishes: Sequence[str]) -> None:
        """Open a connection for each wish, with the least of receive buffers, and ask."""
        self._sockets: list[socket.socket] = []
        for wish in wishes:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(address)
            one.sendall(request(target, address) + ask(wish))
            self._sockets.append(one)

    def close(self) -> None:
        """Let go of them."""
        for one in self._sockets:
            one.close()
