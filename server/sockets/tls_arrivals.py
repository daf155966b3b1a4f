"""Counts a connection in before TLS costs anything, then hands it to an ``Arrival`` inside of TLS.

A server that is given its certificate by the event loop first hears of a connection when the
handshake is over. Who never begins one would be bounded by nothing but the number of open files.

uvloop reads on whatever is said in ``connection_made``, so ``start_tls`` would miss the client's
first words. The socket is given to a transport of its own instead, before anything is read.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import cast

from server.metrics import Metrics
from server.sockets.accept_limits import AcceptLimits
from server.sockets.arrivals import Arrival, Entry, enter


class TlsArrival(asyncio.Protocol):
    """A connection that has not agreed on keys."""

    def __init__(
        self,
        accept_limits: AcceptLimits,
        metrics: Metrics,
        context: ssl.SSLContext,
        *,
        handshake_timeout_s: float,
        make_arrival: Callable[[Entry], Arrival],
    ) -> None:
        """Wait for a connection.

        Args:
            accept_limits: Counts the connections.
            metrics: Told of those that are cut off at once.
            context: With the certificate of the moment.
            handshake_timeout_s: Seconds for the handshake.
            make_arrival: Makes the one that reads the request head.
        """
        self._accept_limits = accept_limits
        self._metrics = metrics
        self._context = context
        self._timeout_s = handshake_timeout_s
        self._make_arrival = make_arrival
        self._agreeing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, and begin the handshake; who cannot even be told no is cut off."""
        plain = cast(asyncio.Transport, transport)
        self._entry = ticket, full = enter(self._accept_limits, plain)
        if full is not None and full.is_told_unasked and not ticket.turn_away():
            self._metrics.rejections.labels(full.reason).inc()
        elif (sock := _again(plain)) is not None:
            ticket.transport = self
            self._agreeing = asyncio.get_running_loop().create_task(self._agree(sock))
        plain.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back, unless the socket goes on."""
        if self._agreeing is None:
            self._entry[0].leave()

    def abort(self) -> None:
        """Wait for the handshake no longer."""
        if self._agreeing is not None:
            self._agreeing.cancel()
            self._entry[0].leave()  # the task may not have begun

    async def _agree(self, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._make_arrival(self._entry),
                sock,
                ssl=self._context,
                ssl_handshake_timeout=self._timeout_s,
            )
        except OSError:  # no TLS, no agreement, too late, or gone
            self._entry[0].leave()
        except asyncio.CancelledError:
            self._entry[0].leave()
            raise


def _again(transport: asyncio.Transport) -> socket.socket | None:
    """A second socket for the same connection, which outlives the transport; if files are left."""
    try:
        return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    except OSError:
        return None
