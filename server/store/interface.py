"""What a store of conversations can do, whatever keeps them.

A store is started before anything is asked of it. Writes are values, handed over from the event
loop in order and without waiting. What ``append`` returns says when one is safe: it survives the
end of any process from then on, and whoever asked may be told. Reads are awaited, and know of every
write that was handed over before. Every call names the *principal*, whose key it is: somebody
else's conversation is not found, like one that never was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.conversation.changes import Change
from server.conversation.entries import Entry

MAX_PAGE = 100
"""Conversations in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What is to be kept of one conversation.

    Attributes:
        principal: Whose it is.
        conversation_id: Unique on this server.
        model: Who was spoken with, as ``?model=`` names it.
        at: Unix time.
        begins: This is the conversation's first; later writes to one that is not there any more
            (it was erased, or had to make room) are refused, so that no half of it comes back.
        changes: In order.
        writer: Who hands it over, a session by its id. Once a write of theirs has failed, what they
            hand over later for the same conversation fails too, so that nothing is missing in
            between; who takes the conversation over is another writer.
    """

    principal: str
    conversation_id: str
    model: str
    at: float
    begins: bool
    changes: Sequence[Change]
    writer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationHead:
    """A conversation in a list.

    Attributes:
        id: Its name.
        model: Who was spoken with last.
        created_at: Unix time of the first write.
        updated_at: Of the last.
        title: The beginning of what the user said first; empty where nobody has spoken.
        num_items: How many there are.
    """

    id: str
    model: str
    created_at: float
    updated_at: float
    title: str
    num_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConversation:
    """A conversation as it was left.

    Attributes:
        head: As in a list.
        entries: In order; to be read only.
        summary: Read in place of turns that are left out; may be empty.
        note: What the model reads before the first item; may be empty.
    """

    head: ConversationHead
    entries: tuple[Entry, ...]
    summary: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list.

    Attributes:
        conversations: Last changed first.
        has_more: Whether others follow.
    """

    conversations: tuple[ConversationHead, ...]
    has_more: bool


class ConversationStore(Protocol):
    """Keeps conversations; see the module.

    Whatever is awaited raises ``StoreUnavailable`` where what is kept cannot be reached.
    """

    async def start(self) -> None:
        """Open what is kept.

        Raises:
            ConfigError: It cannot be used; says what is wrong with it, and the way out.
        """
        ...

    async def aclose(self) -> None:
        """Make safe what was handed over, within a bound, and let go; nothing is taken after."""
        ...

    def append(self, write: Write) -> asyncio.Future[None] | None:
        """Take note of changes, after those before; never waits.

        Returns:
            Done when the write is safe; fails with ``StoreFailed`` where it cannot be made so, or
            with ``ConversationTaken`` where another writer has taken the conversation over, or with
            ``ConversationGone`` where it is not there any more; nothing of it is kept then.
            ``None`` where it is as safe already as it will ever be.
        """
        ...

    async def flush(self) -> None:
        """Wait until everything that was appended so far is safe."""
        ...

    async def list(self, principal: str, *, limit: int, after: str | None = None) -> Page:
        """List somebody's conversations, last changed first.

        Args:
            principal: Whose.
            limit: At most so many, from 1 to ``MAX_PAGE``.
            after: Begin behind this one.

        Raises:
            ConversationNotFound: There is no such ``after``.
        """
        ...

    async def load(self, principal: str, conversation_id: str) -> StoredConversation:
        """Read a whole conversation.

        Raises:
            ConversationNotFound: There is none of that name, or it is somebody else's.
        """
        ...

    async def take_over(
        self, principal: str, conversation_id: str, writer: str
    ) -> StoredConversation:
        """Read a whole conversation to go on with it; from here on nobody else writes to it.

        What others hand over for it later fails, on this server and on any other.

        Raises:
            ConversationNotFound: There is none of that name, or it is somebody else's.
        """
        ...

    async def erase(self, principal: str, conversation_id: str) -> None:
        """Forget a conversation for good.

        Raises:
            ConversationNotFound: There is none of that name, or it is somebody else's.
        """
        ...

    async def erase_all(self, principal: str) -> int:
        """Forget everything of somebody's for good.

        Returns:
            How many conversations there were.
        """
        ...

    def export(self, principal: str) -> AsyncIterator[StoredConversation]:
        """Read all of somebody's conversations, one after the other, in no order.

        What is erased meanwhile may be left out, and so may what begins meanwhile.
        """
        ...
