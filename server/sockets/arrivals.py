"""Reads a new connection's request head, then hands the connection to its owner.

Every connection is first an ``Arrival``, which waits for the head under a timeout and a size cap of
its own. A head that asks for a WebSocket makes a ``RealtimeConnection`` the transport's protocol,
any other head an ``HttpConnection``; from then on the arrival is out of the way. Limits are
enforced before either library spends anything.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import cast

from server.sockets import heads
from server.sockets.accept_limits import AcceptLimits, Ticket, TurnedAway
from server.sockets.admission import Refusal
from server.sockets.owners import HttpConnection, RealtimeConnection
from server.state import ServerState

LINGER_S = 1.0
"""Seconds that a refused client gets to read its answer before the connection is cut off."""


Entry = tuple[Ticket, TurnedAway | None]
"""A connection's place, and why it is one too many, if it is."""


def enter(accept_limits: AcceptLimits, transport: asyncio.Transport) -> Entry:
    """Count a connection that has come in."""
    peer = transport.get_extra_info("peername")
    address = str(peer[0]) if peer else "unknown"
    return accept_limits.enter(transport, address, asyncio.get_running_loop().time())


def one_too_many(full: TurnedAway) -> Refusal:
    """What somebody is told who is one too many."""
    seconds = max(1, math.ceil(full.retry_after_s))
    message = f"{full.message}; try again in {seconds} s"
    status = 429 if full.is_own_doing else 503
    return Refusal(status, "too_many_connections", message, None, seconds)


class Arrival(asyncio.Protocol):
    """A connection that has not said what it wants."""

    def __init__(
        self,
        state: ServerState,
        accept_limits: AcceptLimits,
        *,
        make_realtime: Callable[[], RealtimeConnection],
        make_http: Callable[[], HttpConnection],
        entry: Entry | None = None,
    ) -> None:
        """Wait for a connection.

        Args:
            state: Shared with every room.
            accept_limits: Counts the connections.
            make_realtime: Makes the owner of a WebSocket.
            make_http: Makes the owner of any other connection.
            entry: Its place and whether it is one too many, where that is known already.
        """
        self._state = state
        self._limits = state.settings.limits
        self._accept_limits = accept_limits
        self._make_realtime = make_realtime
        self._make_http = make_http
        self._entry = entry
        self._buffer = bytearray()
        self._is_refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, and start the clock."""
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self._ticket, self._full = self._entry or enter(self._accept_limits, self._transport)
        self._ticket.transport = self._transport
        self._timer = loop.call_later(self._limits.head_timeout_s, self._on_timeout)
        if self._full is not None and self._full.is_told_unasked:
            self._turn_away(self._full)

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
        elif end >= 0 and not heads.is_http_1(self._buffer):
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
        is_for_the_socket = heads.is_for_the_socket(data[:end])
        flaw = heads.flaw_of_handshake(data[:end]) if is_for_the_socket else None
        if flaw is not None:
            return self._refuse(flaw)
        self._timer.cancel()
        self._ticket.head_is_in()
        owner: RealtimeConnection | HttpConnection
        if is_for_the_socket:
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

    def _turn_away(self, full: TurnedAway) -> None:
        """Refuse unasked; of more than a few at a time not even that."""
        if self._ticket.turn_away():
            self._refuse_full(full)
        else:
            self._is_refused = True
            self._state.metrics.rejections.labels(full.reason).inc()
            self._transport.abort()

    def _refuse_full(self, full: TurnedAway) -> None:
        self._state.metrics.rejections.labels(full.reason).inc()
        self._refuse(one_too_many(full))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, then wait a moment: closing on unread input would destroy the answer."""
        self._is_refused = True
        self._buffer.clear()
        self._timer.cancel()
        self._transport.write(heads.answer(refusal))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LINGER_S, self._transport.abort)
