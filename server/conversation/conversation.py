"""What was said, in order, bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from engine.chat_template import ChatMessage
from server.conversation.changes import Change, ChangeLog, copy_entry
from server.conversation.entries import Entry, count_bytes, join_notes, render_messages
from server.conversation.truncation import check_truncation, refuse_in_progress
from server.errors import DuplicateItem, ItemNotFound, LimitExceeded
from server.protocol.items import FunctionCallItem, MessageItem, Role
from server.text.tags import cut_raw_text

ROOT = "root"
"""Stands for the place before the first item."""


class Conversation:
    """The items of one session, bounded in number and in bytes."""

    def __init__(self, conversation_id: str, *, max_items: int, max_bytes: int) -> None:
        self.id = conversation_id
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._num_bytes = 0
        self._changes = ChangeLog()
        self._note = ""  # read before the first item

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._by_id

    @property
    def num_bytes(self) -> int:
        """What all items and notes count for together."""
        return self._num_bytes

    @property
    def item_ids(self) -> list[str]:
        """In order."""
        return [entry.id for entry in self._entries]

    def restore(self, conversation_id: str, entries: Iterable[Entry], note: str = "") -> None:
        """Go on from a conversation that was kept; this one must be empty.

        Args:
            conversation_id: Its name, which becomes this one's.
            entries: Its items in order; they are copied. Of more than fit the oldest are left out.
            note: What is read before the first of them.
        """
        assert not self._entries
        self.id = conversation_id
        self._note, self._num_bytes = note, len(note.encode())
        for entry in reversed([copy_entry(entry) for entry in entries]):
            is_full = len(self._entries) >= self._max_items
            if is_full or self._num_bytes + entry.num_bytes > self._max_bytes:
                break
            self._entries.insert(0, entry)
            self._by_id[entry.id] = entry
            self._num_bytes += entry.num_bytes

    def take_changes(self) -> list[Change]:
        """What has changed since this was last asked, in the order in which to write it down."""
        return self._changes.take(self._entries, self._note)

    @property
    def entries(self) -> Sequence[Entry]:
        """In order; to be read only."""
        return tuple(self._entries)

    def entry(self, item_id: str, *, param: str = "item_id") -> Entry:
        """Look an item up.

        Raises:
            ItemNotFound: It is not here; ``param`` says where its id stood.
        """
        entry = self._by_id.get(item_id)
        if entry is None:
            raise ItemNotFound(item_id, param=param)
        return entry

    def previous_id(self, item_id: str) -> str | None:
        """Id of the item before; ``None`` for the first."""
        index = self._entries.index(self._by_id[item_id])
        return self._entries[index - 1].id if index else None

    def check_insert(self, entry: Entry, after: str | None) -> None:
        """Find out whether ``insert`` would do, but for room.

        Raises:
            DuplicateItem: The id is taken.
            ItemNotFound: There is no item ``after``.
            LimitExceeded: The item alone is larger than a conversation may be.
        """
        if entry.id in self._by_id:
            raise DuplicateItem(entry.id)
        if after is not None and after != ROOT and after not in self._by_id:
            raise ItemNotFound(after, param="previous_item_id")
        if entry.num_bytes > self._max_bytes:
            raise self._too_large(entry.num_bytes, "item")

    def make_room(self, entry: Entry, *, keep: str | None, evict: bool) -> list[str]:
        """Take the oldest turns out until an item fits, each whole.

        So no answer outlives its question. System items stay, and so do turns of which something
        is being written, or that the item will belong to. Either there is room afterwards or
        nothing changes.

        Returns:
            Ids of what was taken out, oldest first.

        Raises:
            LimitExceeded: There is no room, and none may or can be made.
        """
        if keep is None and self._entries and not _is_question(entry):
            keep = self._entries[-1].id
        return self._make_room(1, entry.num_bytes, keep=keep, evict=evict, param="item")

    def make_room_for_reply(self, note: str, *, evict: bool) -> list[str]:
        """Take the oldest turns out until another reply may begin, each whole.

        Nobody knows how long that will be, so one reply may run over the bounds; the next begins
        only where the conversation is within them again. The newest turn stays.

        Args:
            note: What is going to be noted before it.
            evict: Whether anything may go.

        Returns:
            As for ``make_room``.

        Raises:
            LimitExceeded: As for ``make_room``.
        """
        keep = self._entries[-1].id if self._entries else None
        return self._make_room(0, len(note.encode()), keep=keep, evict=evict, param=None)

    def _make_room(
        self, num_items: int, num_bytes: int, *, keep: str | None, evict: bool, param: str | None
    ) -> list[str]:
        spare_items = self._max_items - len(self._entries) - num_items
        spare_bytes = self._max_bytes - self._num_bytes - num_bytes
        leaving: list[Entry] = []
        for turn in self._turns() if evict else ():
            if spare_items >= 0 and spare_bytes >= 0:
                break
            if not any(old.is_in_progress or old.id == keep for old in turn):
                leaving += turn
                spare_items += len(turn)
                spare_bytes += sum(old.num_bytes for old in turn)
        if spare_bytes < 0:
            raise self._too_large(num_bytes, param)
        if spare_items < 0:
            raise LimitExceeded(
                "the number of items in the conversation",
                len(self._entries) + num_items,
                self._max_items,
                "delete some with conversation.item.delete",
                param=param,
            )
        for old in leaving:
            self._remove(old)
        return [old.id for old in leaving]

    def insert(self, entry: Entry, after: str | None) -> str | None:
        """Put an item at the end (``None``), at the start (``root``) or after another.

        Returns:
            Id of the item before it, ``None`` when it is the first.

        Raises:
            ProtocolError: As for ``check_insert``.
        """
        self.check_insert(entry, after)
        if after is None:
            index = len(self._entries)
        elif after == ROOT:
            index = 0
        else:
            index = self._entries.index(self._by_id[after]) + 1
        self._entries.insert(index, entry)
        self._by_id[entry.id] = entry
        self._num_bytes += entry.num_bytes
        self._changes.touch(entry.id)
        return self._entries[index - 1].id if index else None

    def finish_reply(self, item: MessageItem | FunctionCallItem, raw_text: str) -> None:
        """Write down what a response said or called; an item that is gone stays gone.

        Args:
            item: As it is now.
            raw_text: Of a message.
        """
        entry = self._by_id.get(item.id or "")
        if entry is None:
            return
        self._num_bytes -= entry.num_bytes
        entry.item = item
        if isinstance(item, MessageItem):
            entry.raw_texts = [raw_text]
            entry.recount(len(raw_text.encode()))
        else:
            entry.recount(count_bytes(item))
        self._num_bytes += entry.num_bytes
        self._changes.touch(entry.id)

    def name_turn(self, item_id: str, turn_id: str) -> None:
        """Write down which turn an item answers; an item that is gone stays gone."""
        entry = self._by_id.get(item_id)
        if entry is not None:
            entry.turn_id = turn_id
            self._changes.touch(item_id)

    def delete(self, item_id: str) -> None:
        """Take an item out.

        Raises:
            ItemNotFound: It is not here.
            ProtocolError: ``item_in_progress``.
        """
        entry = self.entry(item_id)
        refuse_in_progress(entry.item)
        self._remove(entry)

    def truncate(self, item_id: str, content_index: int, text_end: int | None) -> None:
        """Keep only what was heard of an assistant's message.

        Args:
            item_id: Which.
            content_index: The part that was heard last; later parts go.
            text_end: Code points of it that were heard; ``None`` for an audio part, whose
                transcript goes, because nobody knows which words were heard.

        Raises:
            ItemNotFound: It is not here.
            ProtocolError: It is not an assistant's message, is still being written, has no such
                part, or the part is of the other kind or shorter.
        """
        entry = self.entry(item_id)
        item = check_truncation(entry.item, content_index, text_end)
        part = item.content[content_index]
        if part.text is None:
            part, raw = msgspec.structs.replace(part, transcript=""), ""
        else:
            raw = entry.raw_texts[content_index]
            assert text_end is not None
            if text_end < len(part.text):
                tags = entry.tags
                raw = cut_raw_text(
                    raw, tags.shown_expressions, text_end, motions=tags.shown_motions
                )
            part = msgspec.structs.replace(part, text=part.text[:text_end])
        entry.item = msgspec.structs.replace(item, content=[*item.content[:content_index], part])
        entry.raw_texts = [*entry.raw_texts[:content_index], raw]
        self._num_bytes -= entry.num_bytes
        entry.recount(sum(len(text.encode()) for text in entry.raw_texts))
        self._num_bytes += entry.num_bytes
        self._changes.touch(entry.id)

    def add_note(self, text: str) -> None:
        """Have the model read a text right behind the last item, for as long as that is there.

        It goes behind what is noted there already. Before the first item it becomes a note of the
        conversation's own, which is read first and stays. ``make_room_for_reply`` bounds it.

        Args:
            text: What is to be read; nothing happens where it is empty.
        """
        if not text:
            return
        last = self._entries[-1] if self._entries else None
        before = self._note if last is None else last.note
        num_new = len(join_notes(before, text).encode()) - len(before.encode())
        self._num_bytes += num_new
        if last is None:
            self._note = join_notes(before, text)
            self._changes.touch_note()
        else:
            last.add_note(text)
            self._changes.touch(last.id)

    def last_message(self, role: Role) -> MessageItem | None:
        """What somebody of this role said last, if anything."""
        for entry in reversed(self._entries):
            if isinstance(entry.item, MessageItem) and entry.item.role == role:
                return entry.item
        return None

    def messages(self) -> list[ChatMessage]:
        """What the model reads; items without words are left out."""
        first = [ChatMessage("system", self._note)] if self._note else []
        return first + render_messages(self._entries)

    def check_integrity(self) -> None:
        """Prove that the books agree; for tests."""
        assert len(self._by_id) == len(self._entries)
        assert all(self._by_id[entry.id] is entry for entry in self._entries)
        own = len(self._note.encode())
        assert self._num_bytes == own + sum(entry.num_bytes for entry in self._entries)
        assert all(entry.num_bytes >= len(entry.note.encode()) for entry in self._entries)

    def _turns(self) -> list[list[Entry]]:
        """Each question with what was answered; what comes before the first goes one by one."""
        turns: list[list[Entry]] = []
        has_begun = False
        for entry in self._entries:
            if _is_system(entry):
                continue
            has_begun = has_begun or _is_question(entry)
            if not has_begun or _is_question(entry):
                turns.append([])
            turns[-1].append(entry)
        return turns

    def _remove(self, entry: Entry) -> None:
        self._entries.remove(entry)
        self._changes.remove(entry.id)
        del self._by_id[entry.id]
        self._num_bytes -= entry.num_bytes

    def _too_large(self, num_new: int, param: str | None) -> LimitExceeded:
        return LimitExceeded(
            "the conversation's size in bytes",
            self._num_bytes + num_new,
            self._max_bytes,
            "delete items with conversation.item.delete, or send less",
            param=param,
        )


def _is_question(entry: Entry) -> bool:
    return isinstance(entry.item, MessageItem) and entry.item.role == "user"


def _is_system(entry: Entry) -> bool:
    return isinstance(entry.item, MessageItem) and entry.item.role == "system"
