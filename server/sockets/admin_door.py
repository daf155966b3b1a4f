"""The second port: numbers and probes, apart from everybody's.

It has few places and no sockets that stay, so uvicorn's own connection is enough for it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState as UvicornState

from engine.errors import ConfigError
from server.config.access import ListenConfig

MAX_CONNECTIONS = 64
"""Answers at a time; one more is told to come back with 503."""

IDLE_S = 75
"""Seconds that an idle connection is kept: longer than a scraper's usual minute."""


class AdminDoor:
    """Listens on ``listen.admin_host`` and ``listen.admin_port``."""

    def __init__(self, listen: ListenConfig, http_app: Any) -> None:
        """Prepare; nothing listens yet.

        Args:
            listen: With an admin port.
            http_app: The ASGI application behind it.
        """
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._uvicorn = uvicorn.Config(
            http_app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=IDLE_S,
        )
        self._uvicorn.load()
        self._uvicorn_state = UvicornState()

    async def open(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: The address cannot be bound.
        """
        host, port = self._listen.admin_host, self._listen.admin_port
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: HttpToolsProtocol(self._uvicorn, self._uvicorn_state, {}), host, port
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; "
                "choose another listen.admin_port",
                param="listen.admin_port",
            ) from None

    @property
    def port(self) -> int:
        """The port that is listened on, as the system chose it if it was 0."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def num_connections(self) -> int:
        """Connections that are open."""
        return len(self._uvicorn_state.connections)

    def close(self) -> None:
        """Stop listening and cut everybody off; doing this twice does no harm."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._uvicorn_state.connections):
            connection.transport.abort()
        self._server = None
