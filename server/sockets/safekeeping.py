"""Has what a session changes kept, and holds its acknowledgements back until that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from server.errors import ConversationGone, ConversationTaken, ProtocolError, StoreFailed
from server.metrics import Metrics
from server.protocol.server_events import ServerEvent
from server.resume.entries import Hold
from server.resume.journal import Journal
from server.sockets.history import History


class Safekeeping:
    """Of one session: what is told behind a change waits in the journal until it is safe."""

    def __init__(
        self,
        history: History,
        journal: Journal[ServerEvent],
        metrics: Metrics,
        *,
        on_safe: Callable[[], None],
        on_failed: Callable[[ProtocolError, Sequence[bytes]], None],
        on_gone: Callable[[ConversationGone], None],
    ) -> None:
        """Start with nothing under way.

        Args:
            history: Hands changes to the store.
            journal: Holds back what is told of them; what waits in it is dropped when they fail.
            metrics: Told how long writes take.
            on_safe: Called when something in the journal is held no more.
            on_failed: Called when a change cannot be made safe, with what is not told for that;
                nothing is kept from then on.
            on_gone: Called once, when the conversation is not there any more; nothing is kept from
                then on, and nothing waits for it.
        """
        self._loop = asyncio.get_running_loop()
        self._history = history
        self._journal = journal
        self._metrics = metrics
        self._on_safe = on_safe
        self._on_failed = on_failed
        self._on_gone = on_gone
        self._is_gone = False
        self._unsafe: set[asyncio.Future[None]] = set()

    def keep(self) -> None:
        """Have what has changed kept, and hold back what is told from here until it is."""
        written = self._history.keep()
        if written is None:
            return
        self._unsafe.add(written)
        hold, since = self._journal.hold(), self._loop.time()
        written.add_done_callback(partial(self._on_written, hold, since))

    async def safe(self) -> None:
        """Wait until nothing that was said waits for the store any more."""
        while self._unsafe:
            await asyncio.wait(self._unsafe)

    def _on_written(self, hold: Hold, since: float, written: asyncio.Future[None]) -> None:
        self._unsafe.discard(written)
        failure = None if written.cancelled() else written.exception()
        if not isinstance(failure, ConversationTaken | ConversationGone):
            self._metrics.on_store_write(self._loop.time() - since, failed=failure is not None)
        if failure is None or isinstance(failure, ConversationGone):
            hold.is_open = True
            self._on_safe()
            if failure is not None and not self._is_gone:
                self._is_gone = True
                self._history.stop()
                self._on_gone(failure)
            return
        self._history.stop()
        dropped = self._journal.drop_untold()
        if not isinstance(failure, StoreFailed | ConversationTaken):
            failure = StoreFailed("the store failed")
        self._on_failed(failure, dropped)
