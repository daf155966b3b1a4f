"""One socket of a live session: messages in, within their bounds; closing, and its log line."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from server.errors import ErrorCode, ErrorType, ProtocolError
from server.limits.inflow import Inflow
from server.log_lines import log_line
from server.protocol.client_events import CharacterTrigger, ResponseCreate
from server.protocol.close_codes import CloseCode
from server.protocol.codec import decode_client_event
from server.sockets.live_session import LiveSession
from server.sockets.wire import Socket
from server.state import ServerState

logger = logging.getLogger(__name__)

_UNREADABLE = frozenset({ErrorCode.INVALID_JSON, ErrorCode.INVALID_EVENT})
"""Errors that count as bad messages; what is merely refused or unknown never closes a socket."""


class Connection:
    """A live session's socket, until one of both is gone."""

    def __init__(
        self,
        socket: Socket,
        live: LiveSession,
        state: ServerState,
        *,
        on_reached: Callable[[], None] | None = None,
    ) -> None:
        """Put the parts together; the session has not been attached yet.

        Args:
            socket: Open.
            live: Whose socket it is.
            state: Shared with every room.
            on_reached: Called once the client has taken in its greeting.
        """
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._live = live
        self._state = state
        self._limits = state.settings.limits
        self._on_reached = on_reached
        self._num_unreadable = 0
        self._closing: asyncio.Task[None] | None = None
        self._closed_by_us: int | None = None
        self._evicted: str | None = None

    @property
    def socket(self) -> Socket:
        """Where events go."""
        return self._socket

    async def run(self) -> None:
        """Read until the socket is closed, whoever closes it. Raises nothing but cancellation."""
        started = self._loop.time()
        self._socket.on_drained(self._on_drained)
        reaching = None
        if self._on_reached is not None:
            reaching = self._loop.create_task(self._wait_until_reached(self._on_reached))
        try:
            await self._read()
        except Exception as error:
            self._live.crash(error)
        finally:
            if reaching is not None:
                reaching.cancel()
            self._evicted = self._live.outbox.evicted if self._live.serves(self) else None
            self._live.detach(self)
            if self._closing is not None:
                await self._closing
            self._tell(self._loop.time() - started)

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the socket, soon: what was said to the client and is not safe yet is told first."""
        if self._closing is None:
            self._closed_by_us = int(code)
            self._closing = self._loop.create_task(self._say_goodbye(code, reason))

    async def closed(self) -> None:
        """Wait for the end of a closing that has begun."""
        if self._closing is not None:
            await asyncio.wait((self._closing,))

    async def _say_goodbye(self, code: CloseCode, reason: str) -> None:
        if self._live.serves(self):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._state.settings.drain.close_timeout_s):
                    await self._live.safe()
        await self._socket.close(code, reason)

    async def _wait_until_reached(self, tell: Callable[[], None]) -> None:
        if await self._socket.reaches():
            tell()

    def _on_drained(self) -> None:
        if self._live.serves(self):
            self._live.outbox.flush()

    async def _read(self) -> None:
        limits = self._limits
        inflow = Inflow(
            messages_per_s=limits.messages_per_s,
            message_burst=limits.message_burst,
            bytes_per_s=limits.bytes_per_s,
            byte_burst=limits.byte_burst,
            flood_timeout_s=limits.flood_timeout_s,
            now=self._loop.time(),
        )
        while (message := await self._socket.receive()) is not None:
            # Waiting here fills the library's short queue, and then the client's own socket.
            if (wait := inflow.take(_num_bytes(message), self._loop.time())) > 0:
                await asyncio.sleep(wait)
                if self._live.serves(self) and inflow.is_flood(self._loop.time()):
                    self._turn_away()
                    return  # and read no more of it
            if self._closing is not None or not self._live.serves(self):
                continue
            if isinstance(message, bytes):
                reason = "Events are text; send text frames."
                self._live.close(CloseCode.UNSUPPORTED_DATA, reason)
            else:
                self._receive(message)
            # Hundreds of small messages come in one piece; others have their turn between them.
            await asyncio.sleep(0)

    def _turn_away(self) -> None:
        self._state.metrics.rejections.labels("flood").inc()
        limits = self._limits
        self._live.close(
            CloseCode.RATE_LIMITED,
            f"For {limits.flood_timeout_s:g} s you have sent more than {limits.messages_per_s:g} "
            f"messages or {limits.bytes_per_s:g} bytes per second.",
        )

    def _receive(self, text: str) -> None:
        try:
            event = decode_client_event(text)
            self._num_unreadable = 0
            if self._state.is_draining and isinstance(event, ResponseCreate | CharacterTrigger):
                raise draining_error(event.event_id)
        except ProtocolError as error:
            self._live.refuse(error)
            self._count_unreadable(error)
        else:
            self._live.receive(event)

    def _count_unreadable(self, error: ProtocolError) -> None:
        if error.code not in _UNREADABLE:
            self._num_unreadable = 0
            return
        self._num_unreadable += 1
        if self._num_unreadable >= self._limits.max_bad_messages:
            self._live.close(
                CloseCode.BAD_MESSAGES,
                f"{self._num_unreadable} messages in a row could not be read.",
            )

    def _tell(self, seconds: float) -> None:
        code = self._closed_by_us or self._socket.close_code
        if self._evicted is not None:
            code = int(CloseCode.STALLED_READER)
        known = code in CloseCode.__members__.values() or code in (1005, 1006)
        self._state.metrics.ws_closes.labels(str(code) if known else "other").inc()
        log_line(
            logger,
            "socket closed",
            session=self._live.session.id,
            code=code,
            evicted=self._evicted,
            seconds=round(seconds, 3),
        )


def _num_bytes(message: str | bytes) -> int:
    if isinstance(message, str) and not message.isascii():
        return len(message.encode())
    return len(message)


def draining_error(event_id: str | None = None) -> ProtocolError:
    """What is said to whoever wants something new while the server drains."""
    return ProtocolError(
        "server_draining",
        "response.create was refused: the server is about to restart; reconnect in a few seconds",
        type=ErrorType.SERVER,
        event_id=event_id,
    )
