"""What stores over a database share: writes wait in a queue, reads run plans.

A store of this kind writes what its queue holds, in order, and says what became of it; how, and in
which thread or task, is its own.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from server.errors import ConversationNotFound
from server.store.ask import Plan, Result
from server.store.attempts import Poisoned
from server.store.interface import Page, StoredConversation, Write
from server.store.ledger import Ledger
from server.store.reading import read_conversation, read_names, read_page
from server.store.trouble import Trouble
from server.store.write_queue import WriteQueue
from server.store.writing import Claim, Erase

CLOSE_TIMEOUT_S = 10.0
"""What making safe may take at the end."""
_EXPORT_PAGE = 100


class QueuedStore(abc.ABC):
    """All of a ``ConversationStore`` but its beginning and its end."""

    def __init__(self, wake: Callable[[], None], *, max_conversations: int, max_bytes: int) -> None:
        """Hold nothing yet.

        Args:
            wake: Called when there is something to write.
            max_conversations: Of one principal.
            max_bytes: Of all together, about.
        """
        self._ledger = Ledger(max_conversations=max_conversations, max_bytes=max_bytes)
        self._poisoned = Poisoned()
        self._trouble = Trouble()
        self._queue = WriteQueue(wake)

    def append(self, write: Write) -> asyncio.Future[None]:
        """As the interface has it."""
        return self._queue.put(write)

    async def flush(self) -> None:
        """As the interface has it."""
        await self._queue.wait()

    async def list(self, principal: str, *, limit: int, after: str | None = None) -> Page:
        """As the interface has it; the order is that of the last writes."""
        return await self._read(partial(read_page, principal, limit, after))

    async def load(self, principal: str, conversation_id: str) -> StoredConversation:
        """As the interface has it."""
        return await self._read(partial(read_conversation, principal, conversation_id))

    async def take_over(
        self, principal: str, conversation_id: str, writer: str
    ) -> StoredConversation:
        """As the interface has it: claimed first, so that nothing comes between and the reading."""
        if not await self._queue.put(Claim(principal, conversation_id, writer)):
            raise ConversationNotFound(conversation_id)
        return await self.load(principal, conversation_id)

    async def erase(self, principal: str, conversation_id: str) -> None:
        """As the interface has it."""
        if not await self._queue.put(Erase(principal, conversation_id)):
            raise ConversationNotFound(conversation_id)

    async def erase_all(self, principal: str) -> int:
        """As the interface has it."""
        num_erased: int = await self._queue.put(Erase(principal, None))
        return num_erased

    async def export(self, principal: str) -> AsyncIterator[StoredConversation]:
        """As the interface has it; holds one conversation at a time."""
        names = [""]
        while names:
            names = await self._read(partial(read_names, principal, names[-1], _EXPORT_PAGE))
            for name in names:
                with contextlib.suppress(ConversationNotFound):
                    yield await self.load(principal, name)

    @abc.abstractmethod
    async def _read(self, plan: Callable[[], Plan[Result]]) -> Result:
        """Run a plan at one moment, behind all that was handed over before.

        Args:
            plan: Makes it; anew for each try.

        Raises:
            StoreUnavailable: What is kept cannot be reached.
        """
