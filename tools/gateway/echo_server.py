"""The least that a WebSocket server can be: ``websockets`` as Kaiwa sets it up, and an echo.

``python -m tools.gateway.echo_server`` listens on a free port until it gets a signal.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from server.config.access import ListenConfig
from server.config.limits import LimitsConfig
from server.open_files import raise_limit
from server.sockets.front_door import KEEPALIVE_S, MAX_QUEUED_FRAMES

_MAX_CONNECTIONS = 20_000


async def _echo(connection: ServerConnection) -> None:
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass


async def run() -> None:
    """Serve until SIGTERM."""
    raise_limit(_MAX_CONNECTIONS)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await serve(
        _echo,
        "127.0.0.1",
        0,
        compression=None,
        server_header=None,
        backlog=ListenConfig().backlog,
        ping_interval=KEEPALIVE_S,
        ping_timeout=KEEPALIVE_S,
        max_size=LimitsConfig().max_message_bytes,
        max_queue=MAX_QUEUED_FRAMES,
    )
    gc.collect()
    gc.freeze()
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close(close_connections=False)


def main() -> int:
    """Serve in a process of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
