"""What has changed in a conversation since somebody last looked, for whoever keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from server.conversation.entries import Entry


@dataclass(frozen=True, slots=True)
class ItemKept:
    """An item is new, or is another than it was; never one that is still being written.

    Attributes:
        entry: As it is now; the receiver's own.
        after: Id of the item before it, ``None`` for the first; where the item is known already it
            stays in its place.
    """

    entry: Entry
    after: str | None


@dataclass(frozen=True, slots=True)
class ItemGone:
    """An item was deleted, or had to make room."""

    item_id: str


@dataclass(frozen=True, slots=True)
class SummaryKept:
    """Another summary is read in place of turns that are left out; empty for none."""

    summary: str


@dataclass(frozen=True, slots=True)
class NoteKept:
    """The model reads another text before the first item; it is there for good."""

    note: str


Change = ItemKept | ItemGone | SummaryKept | NoteKept


class ChangeLog:
    """Which items have changed; as many as there are, and those that went, at most."""

    def __init__(self) -> None:
        """Start with none."""
        self._changed: set[str] = set()
        self._gone: list[str] = []
        self._has_note = False

    def touch(self, item_id: str) -> None:
        """An item is new or another."""
        self._changed.add(item_id)

    def remove(self, item_id: str) -> None:
        """An item is gone."""
        self._changed.discard(item_id)
        self._gone.append(item_id)

    def touch_note(self) -> None:
        """What is read before the first item is another."""
        self._has_note = True

    def take(self, entries: Sequence[Entry], note: str) -> list[Change]:
        """Say what has changed, and begin anew.

        A note waits for the first item: a conversation in which nothing was said is not kept.

        Args:
            entries: The conversation as it is now. What is still being written is passed over; its
                end will be a change.
            note: What is read before the first of them.
        """
        changes: list[Change] = [ItemGone(item_id) for item_id in self._gone]
        if self._has_note and not all(entry.is_in_progress for entry in entries):
            changes.append(NoteKept(note))
            self._has_note = False
        if not self._changed and not changes:
            return []
        before: str | None = None
        for entry in entries:
            if entry.is_in_progress:
                continue
            if entry.id in self._changed:
                changes.append(ItemKept(copy_entry(entry), before))
            before = entry.id
        self._changed, self._gone = set(), []
        return changes


def copy_entry(entry: Entry) -> Entry:
    """An entry of one's own; items are replaced, never changed, so they may be shared."""
    return replace(entry, raw_texts=list(entry.raw_texts))
