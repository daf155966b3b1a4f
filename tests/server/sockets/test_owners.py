"""A connection ends when it is closed, whoever reads at its other end."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState as UvicornState

from server.config.limits import LimitsConfig
from server.sockets.accept_limits import AcceptLimits
from server.sockets.owners import CLOSING_LOOK_S, HttpConnection


class Line(asyncio.Transport):
    """A line with so many bytes that have not left."""

    def __init__(self, num_left: int) -> None:
        super().__init__()
        self.num_left = num_left
        self.is_closed = False
        self.is_aborted = False

    def get_write_buffer_size(self) -> int:
        """As the reader lets it."""
        return self.num_left

    def is_closing(self) -> bool:
        """Whether somebody has closed it."""
        return self.is_closed

    def close(self) -> None:
        """It ends when all has left."""
        self.is_closed = True

    def abort(self) -> None:
        """It is cut off."""
        self.is_aborted = True


def connect(line: Line) -> HttpConnection:
    """Give a line to its owner."""
    config = uvicorn.Config(_no_app, log_config=None)
    config.load()
    connection = HttpConnection(config, UvicornState(), {})
    connection.ticket, _ = AcceptLimits(LimitsConfig()).enter(line, "192.0.2.1", 0.0)
    connection.connection_made(line)
    return connection


async def _no_app(_scope: Any, _receive: Any, _send: Any) -> None:
    """Nobody asks anything."""


async def test_a_reader_that_stalls_cannot_hold_a_closed_connection() -> None:
    """Two looks without a byte of progress, and it is cut off; before it is closed it may wait."""
    line = Line(1000)
    connection = connect(line)
    await asyncio.sleep(CLOSING_LOOK_S * 4)
    assert not line.is_aborted
    line.close()
    await asyncio.sleep(CLOSING_LOOK_S * 2.5)
    assert line.is_aborted
    connection.connection_lost(None)


async def test_a_slow_reader_gets_everything() -> None:
    """However long it takes, as long as it takes something."""
    line = Line(20)
    connection = connect(line)
    line.close()
    while line.num_left:
        line.num_left -= 1
        await asyncio.sleep(CLOSING_LOOK_S)
    assert not line.is_aborted
    connection.connection_lost(None)
