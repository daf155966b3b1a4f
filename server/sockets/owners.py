"""Who owns a connection once its request head is in: a WebSocket's owner, or an HTTP client's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.asyncio.server import ServerConnection

from server.protocol.close_codes import CloseCode
from server.sockets.accept_limits import Ticket
from server.sockets.admission import Admission, Refusal
from server.sockets.heads import answer, begins_a_websocket, flaw_of_handshake

REQUEST_TIMEOUT_S = 30.0
"""Seconds for an HTTP request to come in whole, from its first byte."""

CLOSING_LOOK_S = 5.0
"""Seconds between two looks at a closed connection; who takes nothing meanwhile is cut off."""


class RealtimeConnection(ServerConnection):
    """The library's connection, with our place in the accept limits and a notice when it drains.

    Attributes:
        admission: Set by the handshake, before the handler runs.
        num_read: Messages that its session has taken.
        on_drained: Called when the transport has gone from full to the low-water mark.
        give_back: Gives its place among the connections of its key back, if it has one.
    """

    admission: Admission | None = None
    ticket: Ticket | None = None
    on_drained: Callable[[], None] | None = None
    give_back: Callable[[], None] | None = None
    num_read = 0

    async def keepalive(self) -> None:
        """Ping as the library does, but know that a pong stands behind what was sent before it.

        Whoever sends more than its rates allow is read slowly, so its pong may be a minute away:
        while words of its come in, it is there.
        """
        assert self.ping_interval is not None
        while True:
            await asyncio.sleep(self.ping_interval)
            pong = asyncio.ensure_future(await self.ping())
            num_read = -1
            while not pong.done() and num_read != self.num_read:
                num_read = self.num_read
                await asyncio.wait((pong,), timeout=self.ping_timeout)
            if not pong.done():
                await self.close(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
                return

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

    Closing waits until everything has left, and so for ever on a reader that has stalled. How long
    an answer may take that is still written is for the answer itself to say.

    A proxy keeps connections and sends whatever comes next on them, so a request between two others
    may ask for a WebSocket; then the connection changes its owner once more.
    """

    ticket: Ticket
    max_head_bytes: int
    make_realtime: Callable[[], RealtimeConnection]
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _look: asyncio.TimerHandle | None = None
    _num_left = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch over its end."""
        super().connection_made(transport)
        self._look = self.loop.call_later(CLOSING_LOOK_S, self._look_at_closing)

    def data_received(self, data: bytes) -> None:
        """Count what comes before a head is complete."""
        if self._is_between_requests and begins_a_websocket(data):
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
        flaw = flaw_of_handshake(data[: data.find(b"\r\n\r\n")])
        if flaw is not None:
            self.transport.write(answer(flaw))
            self.transport.close()
            return
        self._stop_clock()
        self._stop_looking()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        owner = self.make_realtime()
        owner.ticket = self.ticket
        self.transport.set_protocol(owner)
        owner.connection_made(self.transport)
        owner.data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer in the shape of every other error, where uvicorn would send plain text."""
        self.transport.write(answer(Refusal(400, "bad_request", "this is not valid HTTP/1.1")))
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
        self._stop_looking()
        super().connection_lost(exc)
        self.ticket.leave()

    def _look_at_closing(self) -> None:
        transport = self.transport
        num_left = transport.get_write_buffer_size() if transport.is_closing() else 0
        if num_left and num_left == self._num_left:
            transport.abort()
            return
        self._num_left = num_left
        self._look = self.loop.call_later(CLOSING_LOOK_S, self._look_at_closing)

    def _stop_looking(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
