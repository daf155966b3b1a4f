"""Reads a new connection's request head, then hands the connection to its owner.

Every connection is first an ``Arrival``, which waits for the head under a timeout and a size cap of
its own. A head that asks for a WebSocket makes the library's ``ServerConnection`` the transport's
protocol, any other head uvicorn's ``HttpToolsProtocol``; from then on the arrival is out of the
way. Limits are enforced before either library spends anything.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.asyncio.server import ServerConnection

from server.sockets.accept_limits import AcceptLimits, Ticket, TurnedAway
from server.sockets.admission import REALTIME_PATH, RETRY_AFTER_S, Admission, Refusal
from server.state import ServerState

LINGER_S = 1.0
"""Seconds that a refused client gets to read its answer before the connection is cut off."""

MAX_HANDSHAKE_LINE_BYTES = 8192
"""The request line, or one header, of a handshake; what ``websockets`` reads."""

MAX_HANDSHAKE_HEADERS = 128
"""Likewise."""

REQUEST_TIMEOUT_S = 30.0
"""Seconds for an HTTP request to come in whole, from its first byte."""


class RealtimeConnection(ServerConnection):
    """The library's connection, with our place in the accept limits and a notice when it drains.

    Attributes:
        admission: Set by the handshake, before the handler runs.
        on_drained: Called when the transport has gone from full to the low-water mark.
        give_back: Gives its place among the connections of its key back, if it has one.
    """

    admission: Admission | None = None
    ticket: Ticket | None = None
    on_drained: Callable[[], None] | None = None
    give_back: Callable[[], None] | None = None

    def resume_writing(self) -> None:
        """Pass the transport's notice on."""
        super().resume_writing()
        if self.on_drained is not None:
            self.on_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the places back."""
        super().connection_lost(exc)
        if self.ticket is not None:
            self.ticket.leave()
        if self.give_back is not None:
            self.give_back()
            self.give_back = None


class HttpConnection(HttpToolsProtocol):
    """uvicorn's connection, with bounds on how long and how large a request may come in.

    A proxy keeps connections and sends whatever comes next on them, so a request between two others
    may ask for a WebSocket; then the connection changes its owner once more.
    """

    ticket: Ticket
    max_head_bytes: int
    make_realtime: Callable[[], RealtimeConnection]
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Count what comes before a head is complete."""
        if self._is_between_requests and _begins_a_websocket(data):
            return self._hand_over(data)
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.max_head_bytes:
            self.transport.abort()
        return None

    @property
    def _is_between_requests(self) -> bool:
        return (
            self._in_head
            and not self._head_bytes
            and not self.pipeline
            and self.cycle is not None
            and self.cycle.response_complete
        )

    def _hand_over(self, data: bytes) -> None:
        self._stop_clock()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        owner = self.make_realtime()
        owner.ticket = self.ticket
        self.transport.set_protocol(owner)
        owner.connection_made(self.transport)
        owner.data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer in the shape of every other error, where uvicorn would send plain text."""
        self.transport.write(_answer(Refusal(400, "bad_request", "this is not valid HTTP/1.1")))
        self.transport.close()

    def on_message_begin(self) -> None:
        """Start the clock."""
        super().on_message_begin()
        self._stop_clock()
        self._deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.abort)

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock, and expect the next head."""
        self._in_head, self._head_bytes = True, 0
        self._stop_clock()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._stop_clock()
        super().connection_lost(exc)
        self.ticket.leave()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Arrival(asyncio.Protocol):
    """A connection that has not said what it wants."""

    def __init__(
        self,
        state: ServerState,
        accept_limits: AcceptLimits,
        *,
        make_realtime: Callable[[], RealtimeConnection],
        make_http: Callable[[], HttpConnection],
    ) -> None:
        """Wait for a connection.

        Args:
            state: Shared with every room.
            accept_limits: Counts the connections.
            make_realtime: Makes the owner of a WebSocket.
            make_http: Makes the owner of any other connection.
        """
        self._state = state
        self._limits = state.settings.limits
        self._accept_limits = accept_limits
        self._make_realtime = make_realtime
        self._make_http = make_http
        self._buffer = bytearray()
        self._is_refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, and start the clock."""
        self._transport = cast(asyncio.Transport, transport)
        peer = self._transport.get_extra_info("peername")
        address = str(peer[0]) if peer else "unknown"
        loop = asyncio.get_running_loop()
        self._ticket, self._full = self._accept_limits.enter(self._transport, address, loop.time())
        self._timer = loop.call_later(self._limits.head_timeout_s, self._on_timeout)
        if not self._accept_limits.has_room_for_heads:
            message = "too many connections wait for their first request"
            self._refuse_full(TurnedAway("too_many_pending_heads", message, False, RETRY_AFTER_S))

    def data_received(self, data: bytes) -> None:
        """Collect the head; when it is complete, hand over or refuse."""
        if self._is_refused:
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        most = self._limits.max_head_bytes
        if not 0x41 <= self._buffer[0] <= 0x5A:  # no method begins so; TLS, most likely
            self._refuse(Refusal(400, "bad_request", "this is not HTTP/1.1"))
        elif (end if end >= 0 else len(self._buffer)) > most:
            message = f"the request head is over {most} bytes; send fewer or shorter headers"
            self._refuse(Refusal(431, "head_too_large", message))
        elif end >= 0 and not _is_http_1(self._buffer):
            self._refuse(Refusal(400, "bad_request", "this is not HTTP/1.1"))
        elif end >= 0 and self._full is not None:
            self._refuse_full(self._full)
        elif end >= 0:
            self._hand_over(bytes(self._buffer), end)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._timer.cancel()
        self._ticket.leave()

    def _hand_over(self, data: bytes, end: int) -> None:
        wants_websocket = _asks_for_websocket(data[:end])
        if not wants_websocket and _path_of(data) == REALTIME_PATH:
            message = f"{REALTIME_PATH} is a WebSocket; connect with ws:// or wss://"
            return self._refuse(Refusal(426, "upgrade_required", message))
        flaw = _flaw_of_handshake(data[:end]) if wants_websocket else None
        if flaw is not None:
            return self._refuse(flaw)
        self._timer.cancel()
        self._ticket.head_is_in()
        owner: RealtimeConnection | HttpConnection
        if wants_websocket:
            owner = self._make_realtime()
        else:
            owner = self._make_http()
            owner.max_head_bytes = self._limits.max_head_bytes
            owner.make_realtime = self._make_realtime
        owner.ticket = self._ticket
        self._transport.set_protocol(owner)
        owner.connection_made(self._transport)
        owner.data_received(data)
        return None

    def _on_timeout(self) -> None:
        message = f"no request came within {self._limits.head_timeout_s:g} s"
        self._refuse(Refusal(408, "request_timeout", message))

    def _refuse_full(self, full: TurnedAway) -> None:
        self._state.metrics.rejections.labels(full.reason).inc()
        seconds = max(1, math.ceil(full.retry_after_s))
        message = f"{full.message}; try again in {seconds} s"
        status = 429 if full.is_own_doing else 503
        self._refuse(Refusal(status, "too_many_connections", message, None, seconds))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, then wait a moment: closing on unread input would destroy the answer."""
        self._is_refused = True
        self._buffer.clear()
        self._timer.cancel()
        self._transport.write(_answer(refusal))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LINGER_S, self._transport.abort)


def _is_http_1(head: bytearray) -> bool:
    line = head[: head.find(b"\r\n")]
    return line.endswith((b" HTTP/1.1", b" HTTP/1.0"))


def _path_of(head: bytes) -> str:
    target = head[: head.find(b"\r\n")].split(b" ")[1]
    return target.partition(b"?")[0].decode("latin-1")


def _asks_for_websocket(head: bytes) -> bool:
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip() == b"upgrade" and b"websocket" in value:
            return True
    return False


def _flaw_of_handshake(head: bytes) -> Refusal | None:
    """Find what the library would refuse in plain text, or end the connection for unanswered."""
    line, *headers = head.split(b"\r\n")
    longest = MAX_HANDSHAKE_LINE_BYTES - len(b"\r\n")
    if len(line) > longest:
        return Refusal(414, "head_too_large", f"the address is over {longest} bytes; shorten it")
    if len(headers) > MAX_HANDSHAKE_HEADERS:
        message = f"{len(headers)} headers are sent; at most {MAX_HANDSHAKE_HEADERS} are read"
        return Refusal(431, "head_too_large", message)
    for header in headers:
        if len(header) > longest:
            return Refusal(431, "head_too_large", f"a header is over {longest} bytes; shorten it")
        name, _, value = header.partition(b":")
        has_length = name.strip().lower() == b"content-length" and value.strip() != b"0"
        if has_length or name.strip().lower() == b"transfer-encoding":
            return Refusal(400, "bad_request", "a handshake has no body; send none")
    return None


def _begins_a_websocket(data: bytes) -> bool:
    """Whether this is a whole head, as proxies send it, that asks for a WebSocket."""
    end = data.find(b"\r\n\r\n")
    return end >= 0 and _asks_for_websocket(data[:end])


def _answer(refusal: Refusal) -> bytes:
    body = refusal.body()
    headers = refusal.headers() | {"Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
