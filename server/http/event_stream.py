"""Streamed answers: each part leaves in the moment it is made, and a stalled reader is let go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.http.disconnects import ClientGone, run_while_connected

logger = logging.getLogger(__name__)

STALL_S = 30.0
"""A socket that takes nothing for so long has no reader; its request is called off."""

DONE = b"data: [DONE]\n\n"


def event(content: object) -> bytes:
    """One event; JSON holds no raw newline, so one ``data:`` line is enough."""
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


class EventStream(Response):
    """Writes what a generator yields, without a buffer of its own.

    The generator is closed when the client leaves or stalls, so its ``finally`` is where an
    engine request is cancelled. The head goes out with the first event: a generator that raises
    before it turns into an ordinary error answer.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        content_type: str = "text/event-stream; charset=utf-8",
        stall_s: float = STALL_S,
    ) -> None:
        super().__init__(
            headers={
                "Cache-Control": "no-store",
                "Content-Type": content_type,
                "X-Accel-Buffering": "no",  # nginx would hold the tokens back
            }
        )
        del self.headers["content-length"]
        self._events = events
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole stream, or as much as the client stays for."""
        try:
            await run_while_connected(receive, self._write(send))
        except ClientGone:
            logger.debug("a client left its event stream")
        except TimeoutError:
            logger.info("an event stream took nothing for %.0f s and was given up", self._stall_s)

    async def _write(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        started = False
        async with asyncio.timeout(None) as deadline, aclosing(self._events):
            with _StallWatch(deadline, self._stall_s) as watch:
                async for chunk in self._events:
                    watch.is_sending = True
                    if not started:
                        started = True
                        await send(head)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    watch.is_sending = False
                    watch.num_sent += 1
            if not started:
                await send(head)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _StallWatch:
    """Looks now and then whether the same write is still under way.

    One timer per stream: a timeout around each write would cost more than the write.

    Attributes:
        is_sending: Whether a write is under way.
        num_sent: Writes that are over.
    """

    def __init__(self, deadline: asyncio.Timeout, stall_s: float) -> None:
        """Watch over the block of ``deadline``, which is brought forward when it stalls."""
        self.is_sending = False
        self.num_sent = 0
        self._seen = -1
        self._deadline = deadline
        self._interval_s = stall_s / 2
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._interval_s, self._look)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        if self.is_sending and self._seen == self.num_sent:
            self._deadline.reschedule(self._loop.time())
            return
        self._seen = self.num_sent if self.is_sending else -1
        self._timer = self._loop.call_later(self._interval_s, self._look)
