"""Keeps conversations while the process lives; of too many the least recently used go first."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from server.conversation.changes import Change, ItemGone, ItemKept, NoteKept, SummaryKept
from server.conversation.entries import Entry
from server.errors import (
    ConversationGone,
    ConversationNotFound,
    ConversationTaken,
    ProtocolError,
)
from server.store.interface import ConversationHead, Page, StoredConversation, Write
from server.store.kept_entry import title_of
from server.store.layout import OVERHEAD_BYTES


@dataclass(slots=True)
class _Kept:
    """One conversation."""

    id: str
    principal: str
    model: str
    created_at: float
    updated_at: float
    writer: str
    entries: list[Entry] = field(default_factory=list)
    summary: str = ""
    note: str = ""
    num_bytes: int = OVERHEAD_BYTES

    def head(self) -> ConversationHead:
        return ConversationHead(
            id=self.id,
            model=self.model,
            created_at=self.created_at,
            updated_at=self.updated_at,
            title=next((title for title in map(title_of, self.entries) if title is not None), ""),
            num_items=len(self.entries),
        )

    def apply(self, change: Change) -> None:
        match change:
            case ItemKept(entry, after):
                place = self._place(entry.id)
                self.num_bytes += entry.num_bytes
                if place is not None:
                    self.num_bytes -= self.entries[place].num_bytes
                    self.entries[place] = entry
                    return
                self.num_bytes += OVERHEAD_BYTES
                before = None if after is None else self._place(after)
                if after is not None and before is None:
                    self.entries.append(entry)
                else:
                    self.entries.insert(0 if before is None else before + 1, entry)
            case ItemGone(item_id):
                place = self._place(item_id)
                if place is not None:
                    self.num_bytes -= self.entries.pop(place).num_bytes + OVERHEAD_BYTES
            case SummaryKept(summary):
                self.num_bytes += len(summary.encode()) - len(self.summary.encode())
                self.summary = summary
            case NoteKept(note):
                self.num_bytes += len(note.encode()) - len(self.note.encode())
                self.note = note

    def _place(self, item_id: str) -> int | None:
        for index in reversed(range(len(self.entries))):  # what changes is near the end
            if self.entries[index].id == item_id:
                return index
        return None


class InMemoryStore:
    """A ``ConversationStore`` that a restart empties."""

    def __init__(self, *, max_conversations: int, max_bytes: int) -> None:
        """Start with none.

        Args:
            max_conversations: Of one principal.
            max_bytes: Of all together, about.
        """
        self._max_conversations = max_conversations
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # least recently used first
        self._own: dict[str, OrderedDict[str, _Kept]] = {}  # by principal, likewise
        self._num_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def num_bytes(self) -> int:
        """What all conversations take together, about."""
        return self._num_bytes

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def aclose(self) -> None:
        """Nothing outlives the process."""

    def append(self, write: Write) -> asyncio.Future[None] | None:
        """Take note of changes; the oldest conversations make room."""
        kept = self._kept.get(write.conversation_id)
        if kept is None:
            if not write.begins:
                return _refused(ConversationGone())
            kept = _Kept(
                id=write.conversation_id,
                principal=write.principal,
                model=write.model,
                created_at=write.at,
                updated_at=write.at,
                writer=write.writer,
            )
            self._kept[kept.id] = kept
            self._own.setdefault(kept.principal, OrderedDict())[kept.id] = kept
        elif kept.principal != write.principal:
            return _refused(ConversationGone())
        elif kept.writer != write.writer:
            return _refused(ConversationTaken())
        else:
            self._num_bytes -= kept.num_bytes
        for change in write.changes:
            kept.apply(change)
        kept.model, kept.updated_at = write.model, write.at
        self._num_bytes += kept.num_bytes
        self._kept.move_to_end(kept.id)
        self._own[kept.principal].move_to_end(kept.id)
        self._make_room(write.principal)
        return None

    async def flush(self) -> None:
        """Nothing is safer than it is."""

    async def list(self, principal: str, *, limit: int, after: str | None = None) -> Page:
        """As the interface has it; the order is that of the last writes."""
        own = list(reversed(self._own.get(principal, {}).values()))
        start = 0
        if after is not None:
            start = own.index(self._find(principal, after)) + 1
        shown = own[start : start + limit]
        return Page(tuple(kept.head() for kept in shown), len(own) > start + limit)

    async def load(self, principal: str, conversation_id: str) -> StoredConversation:
        """As the interface has it."""
        kept = self._find(principal, conversation_id)
        return StoredConversation(
            head=kept.head(),
            entries=tuple(kept.entries),
            summary=kept.summary,
            note=kept.note,
        )

    async def take_over(
        self, principal: str, conversation_id: str, writer: str
    ) -> StoredConversation:
        """As the interface has it."""
        self._find(principal, conversation_id).writer = writer
        return await self.load(principal, conversation_id)

    async def erase(self, principal: str, conversation_id: str) -> None:
        """As the interface has it."""
        self._forget(self._find(principal, conversation_id))

    async def erase_all(self, principal: str) -> int:
        """As the interface has it."""
        own = [*self._own.get(principal, {}).values()]
        for kept in own:
            self._forget(kept)
        return len(own)

    async def export(self, principal: str) -> AsyncIterator[StoredConversation]:
        """As the interface has it."""
        for name in [*self._own.get(principal, {})]:
            if name in self._kept:
                yield await self.load(principal, name)

    def _find(self, principal: str, conversation_id: str) -> _Kept:
        kept = self._kept.get(conversation_id)
        if kept is None or kept.principal != principal:
            raise ConversationNotFound(conversation_id)
        return kept

    def _make_room(self, principal: str) -> None:
        own = self._own[principal]
        while len(own) > self._max_conversations:
            self._forget(next(iter(own.values())))
        while self._num_bytes > self._max_bytes and self._kept:
            self._forget(next(iter(self._kept.values())))

    def _forget(self, kept: _Kept) -> None:
        del self._kept[kept.id]
        own = self._own[kept.principal]
        del own[kept.id]
        if not own:
            del self._own[kept.principal]
        self._num_bytes -= kept.num_bytes


def _refused(error: ProtocolError) -> asyncio.Future[None]:
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    refused.set_exception(error)
    refused.exception()  # nobody has to wait for a write, and that is no mistake to be logged
    return refused
