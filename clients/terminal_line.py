"""A connection for the main thread: it lives on an event loop in a thread of its own.

So the terminal keeps line editing and Ctrl-C as everywhere else, and the connection stays alive
while nobody types.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar

from clients.python.client import RealtimeClient
from clients.python.errors import ClientError
from clients.python.events import Event
from server.protocol.items import ContentPart, MessageItem

T = TypeVar("T")

_CLOSE_TIMEOUT_S = 3.0

Connect = Callable[[], contextlib.AbstractAsyncContextManager[RealtimeClient]]


class Line:
    """A connection on a loop of its own thread, used from the main thread.

    Args:
        connect: Opens a connection; called again for every new conversation.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = AsyncExitStack()
        self._client: RealtimeClient | None = None

    @property
    def client(self) -> RealtimeClient:
        """The open connection."""
        assert self._client is not None, "open the line first"
        return self._client

    def open(self) -> None:
        """Connect.

        Raises:
            ClientError: Nobody answers, or the server says no.
        """
        if not self._thread.is_alive():
            self._thread.start()
        self._run(self._reopen())

    def close(self) -> None:
        """Disconnect and end the thread."""
        if self._thread.is_alive():
            with contextlib.suppress(ClientError, TimeoutError):
                self._run(asyncio.wait_for(self._stack.aclose(), _CLOSE_TIMEOUT_S))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CLOSE_TIMEOUT_S)
        if not self._loop.is_running():
            self._loop.close()

    def remember(self, text: str) -> None:
        """Put something that the character has said already into the conversation."""
        content = [ContentPart(type="output_text", text=text)]
        self._run(self.client.create_item(MessageItem(role="assistant", content=content)))

    def interrupt(self) -> None:
        """Cancel the reply that is being made; does not wait, so a signal handler may call it."""
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop)

    def ask(self, text: str) -> Iterator[Event]:
        """Say something and yield the reply's events as they come."""
        arrived: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        asyncio.run_coroutine_threadsafe(self._forward(text, arrived), self._loop)
        while (event := arrived.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    async def _forward(
        self, text: str, arrived: queue.SimpleQueue[Event | BaseException | None]
    ) -> None:
        try:
            async with aclosing(self.client.respond(text)) as events:
                async for event in events:
                    arrived.put(event)
            arrived.put(None)
        except BaseException as error:
            arrived.put(error)
            if not isinstance(error, Exception):
                raise

    async def _cancel(self) -> None:
        with contextlib.suppress(ClientError):  # whoever reads the reply hears of it too
            await self.client.cancel()

    async def _reopen(self) -> None:
        await self._stack.aclose()
        self._stack = AsyncExitStack()
        self._client = await self._stack.enter_async_context(self._connect())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
