"""One port for WebSocket and HTTP: listens, lets in, and at the end lets nobody keep it open.

``websockets`` listens and carries the sockets, uvicorn the HTTP requests; which of the two owns a
connection is found out by ``server.sockets.arrivals``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState as UvicornState
from websockets.asyncio.server import Server, ServerConnection, serve

from engine.errors import ConfigError
from server.sockets.accept_limits import AcceptLimits
from server.sockets.arrivals import Arrival, Entry
from server.sockets.handshakes import Handshakes, finish_response
from server.sockets.owners import HttpConnection, RealtimeConnection
from server.sockets.tls import renew, tls_context
from server.sockets.tls_arrivals import TlsArrival
from server.state import ServerState

KEEPALIVE_S = 20.0
"""Between two WebSocket pings, and for the pong."""

MAX_QUEUED_FRAMES = 8
"""Incoming frames per socket that wait for their session before reading stops."""

_POLL_S = 0.02

_LAST_WORDS_S = 0.1
"""Seconds that closing handshakes get however great the hurry."""

_CUT_OFF_S = 2.0
"""Seconds for handlers to notice that their connection was cut off."""

SocketHandler = Callable[[RealtimeConnection], Awaitable[None]]


class FrontDoor:
    """Listens, lets in, and at the end lets nobody keep it open.

    Attributes:
        state: Shared with every room.
        accept_limits: Counts the connections.
    """

    def __init__(self, state: ServerState, http_app: Any, handle_socket: SocketHandler) -> None:
        """Prepare; nothing listens yet.

        Args:
            state: Shared with every room.
            http_app: The ASGI application for everything that is no WebSocket.
            handle_socket: Runs one session; the connection is admitted and open.
        """
        self.state = state
        self.accept_limits = AcceptLimits(state.settings.limits)
        self._handshakes = Handshakes(state, self.accept_limits)
        self._handle_socket = handle_socket
        self._server: Server | None = None
        self._tls: ssl.SSLContext | None = None
        self._uvicorn = uvicorn.Config(
            http_app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # its lines hold query strings
            proxy_headers=False,  # nobody is whoever a header says
            server_header=False,
        )
        self._uvicorn.load()
        self._uvicorn_state = UvicornState()

    async def open(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: The address cannot be bound, or the certificate cannot be used.
        """
        settings = self.state.settings
        listen = settings.listen
        self._tls = tls_context(listen)
        try:
            self._server = await serve(
                self._handle,
                listen.host,
                listen.port,
                create_connection=cast(Any, self._make_arrival),
                process_request=self._handshakes.judge,
                process_response=finish_response,
                server_header=None,
                compression=None,
                open_timeout=settings.limits.head_timeout_s,
                ping_interval=KEEPALIVE_S,
                ping_timeout=KEEPALIVE_S,
                close_timeout=settings.drain.close_timeout_s,
                max_size=settings.limits.max_message_bytes,
                max_queue=MAX_QUEUED_FRAMES,
                write_limit=(settings.outbox.high_water_bytes, settings.outbox.low_water_bytes),
                logger=_library_logger(),
                backlog=listen.backlog,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {listen.host}:{listen.port}: {error.strerror or error}; "
                "choose another with --host and --port",
                param="listen.port",
            ) from None

    def renew_certificate(self) -> None:
        """Take the certificate from its files again; open connections go on as they are.

        Raises:
            ConfigError: It cannot be used; the old one stays.
        """
        if self._tls is not None:
            renew(self._tls, self.state.settings.listen)

    @property
    def port(self) -> int:
        """The port that is listened on, as the system chose it if it was 0."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where people reach it."""
        listen = self.state.settings.listen
        scheme = "http" if listen.tls_cert is None else "https"
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        return f"{scheme}://{host}:{self.port}"

    async def close(self, code: int, reason: str, *, patience_s: float | None = None) -> None:
        """Stop listening and end every connection; doing this twice does no harm.

        A stalled reader would hold the library's own closing for ever, so whoever has not left
        in time is cut off.

        Args:
            code: Close code for the sockets.
            reason: For people.
            patience_s: Seconds for saying goodbye; ``None`` takes the settings'.
        """
        if self._server is None:
            return
        server, patience = self._server, patience_s
        if patience is None:
            patience = self.state.settings.drain.close_timeout_s
        goodbyes = [asyncio.create_task(one.close(code, reason)) for one in server.connections]
        server.close(close_connections=False)
        for http in list(self._uvicorn_state.connections):
            http.shutdown()
        # Also who is in a hurry lets the goodbyes out: a client should know that it may come back.
        deadline = asyncio.get_running_loop().time() + max(patience, _LAST_WORDS_S)
        while len(self.accept_limits) and asyncio.get_running_loop().time() < deadline:
            self.accept_limits.abort_pending()
            await asyncio.sleep(_POLL_S)
        self.accept_limits.abort_all()
        for goodbye in goodbyes:
            goodbye.cancel()
        await asyncio.gather(*goodbyes, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), _CUT_OFF_S)

    def _make_arrival(self, *args: Any, **kwargs: Any) -> Arrival | TlsArrival:
        def make(entry: Entry | None = None) -> Arrival:
            return Arrival(
                self.state,
                self.accept_limits,
                make_realtime=lambda: RealtimeConnection(*args, **kwargs),
                make_http=lambda: HttpConnection(self._uvicorn, self._uvicorn_state, {}),
                entry=entry,
            )

        if self._tls is None:
            return make()
        return TlsArrival(
            self.accept_limits,
            self.state.metrics,
            self._tls,
            handshake_timeout_s=self.state.settings.limits.head_timeout_s,
            make_arrival=make,
        )

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, RealtimeConnection)
        metrics = self.state.metrics
        metrics.ws_connections.labels("accepted").inc()
        metrics.ws_active.inc()
        _shrink_send_buffer(connection, self.state.settings.outbox.send_buffer_bytes)
        started = time.monotonic()
        try:
            await self._handle_socket(connection)
        finally:
            metrics.ws_active.dec()
            metrics.ws_duration.observe(time.monotonic() - started)


def _shrink_send_buffer(connection: ServerConnection, num_bytes: int) -> None:
    """Make a stall show in seconds; the kernel's own buffer would hide minutes of talk."""
    sock = connection.transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, num_bytes)


def _library_logger() -> logging.Logger:
    """A logger for ``websockets`` that can neither flood nor quote.

    At debug level the library logs every frame, and each malformed handshake is an error to it;
    our own handler logs what matters.
    """
    logger = logging.getLogger("server.sockets.front_door.websockets")
    logger.setLevel(logging.CRITICAL)
    uvicorn_logger = logging.getLogger("uvicorn.error")
    uvicorn_logger.setLevel(logging.ERROR)
    uvicorn_logger.addFilter(_is_news)
    return logger


def _is_news(record: logging.LogRecord) -> bool:
    """Whoever gives up a stream that nobody reads says so; uvicorn takes it for a mistake."""
    return record.msg != "ASGI callable returned without completing response."
