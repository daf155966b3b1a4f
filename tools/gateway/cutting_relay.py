"""Stands between a client and a server, and loses what is in flight.

A server that has handed bytes to its kernel, and has seen them acknowledged, believes that they
arrived. The relay is who acknowledged them: it takes bytes from the server that it never passes on,
and then cuts both sides off. What it passes ends anywhere, within a frame or within the handshake.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class CutPlan:
    """When it cuts, and what it loses before.

    Attributes:
        passed_bytes: Bytes from the server that reach the client.
        swallow_s: Seconds for which bytes are taken and lost, both ways, before the cut.
    """

    passed_bytes: int
    swallow_s: float


class CuttingRelay:
    """One connection through it.

    Attributes:
        client_side: An open socket for the client to speak on.
        num_swallowed: Bytes from the server that the client never saw.
    """

    def __init__(self, plan: CutPlan) -> None:
        """Prepare; ``open`` connects."""
        self._plan = plan
        self._task: asyncio.Task[None] | None = None
        self.num_swallowed = 0
        self.client_side, self._near = socket.socketpair()
        self._far = socket.socket()
        for one in (self.client_side, self._near, self._far):
            one.setblocking(False)

    async def open(self, host: str, port: int) -> None:
        """Connect to the server and begin.

        Raises:
            OSError: There is no server.
        """
        try:
            await asyncio.get_running_loop().sock_connect(self._far, (host, port))
        except OSError:
            self.client_side.close()
            self._close()
            raise
        self._task = asyncio.create_task(self._run())

    async def closed(self) -> None:
        """Wait until both sides are cut off."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        up = asyncio.create_task(self._pass_up())
        try:
            await self._pass_down()
            up.cancel()
            if self._plan.swallow_s:
                await self._swallow()
        except OSError:
            pass
        finally:
            up.cancel()
            await asyncio.wait((up,))
            self._close()

    async def _pass_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._near, _CHUNK):
                await loop.sock_sendall(self._far, data)
            self._far.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    async def _pass_down(self) -> None:
        loop, left = asyncio.get_running_loop(), self._plan.passed_bytes
        while left:
            data = await loop.sock_recv(self._far, _CHUNK)
            if not data:
                return
            passed = data[:left]
            self.num_swallowed += len(data) - len(passed)
            left -= len(passed)
            await loop.sock_sendall(self._near, passed)

    async def _swallow(self) -> None:
        """Take what comes and pass nothing on; the client's own words get lost as well."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._plan.swallow_s):
                while data := await loop.sock_recv(self._far, _CHUNK):
                    self.num_swallowed += len(data)
        except TimeoutError:
            pass

    def _close(self) -> None:
        self._near.close()
        self._far.close()
