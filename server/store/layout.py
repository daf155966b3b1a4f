"""Where a conversation's items stand, and what they count for: all that a write has to know.

An item has a position, a whole number; items are read in its order. Between two that were written
one after the other is room for twenty more halvings, so that an item in the middle moves no other.
Where the room is used up, the whole conversation gets new positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from server.conversation.changes import Change, ItemGone, ItemKept, NoteKept, SummaryKept
from server.conversation.entries import Entry
from server.store.kept_entry import title_of

OVERHEAD_BYTES = 512
"""What a conversation, or an item, takes beside its text, about."""
GAP = 2**20
"""Between the positions of two items."""


@dataclass(slots=True)
class Place:
    """One item's.

    Attributes:
        item_id: Whose.
        position: Grows along the conversation.
        num_bytes: What the item counts for.
        title: As ``title_of`` has it.
    """

    item_id: str
    position: int
    num_bytes: int
    title: str | None


@dataclass(slots=True)
class Pending:
    """What has to be written of one conversation.

    Attributes:
        entries: Items that are new or others, by id.
        gone: Ids of those that are not there any more; deleted before ``entries`` are written.
        is_moved: All positions are new.
        summary: Another one, or ``None``.
        note: Likewise.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    is_moved: bool = False
    summary: str | None = None
    note: str | None = None


@dataclass(slots=True)
class Layout:
    """One conversation's.

    Attributes:
        principal: Whose it is.
        model: Who was spoken with last.
        created_at: Unix time.
        updated_at: Unix time.
        changed: Number of its last change, among those of all conversations.
        writer: Who may write to it, and nobody else.
        summary_bytes: Of the summary.
        note_bytes: Of what is read before the first item.
        places: In order.
        pending: What was applied and is not written yet.
    """

    principal: str
    model: str
    created_at: float
    updated_at: float
    changed: int
    writer: str = ""
    summary_bytes: int = 0
    note_bytes: int = 0
    places: list[Place] = field(default_factory=list)
    pending: Pending = field(default_factory=Pending)
    items_bytes: int = 0

    @property
    def num_bytes(self) -> int:
        """What it takes, about."""
        items = self.items_bytes + OVERHEAD_BYTES * len(self.places)
        return OVERHEAD_BYTES + self.summary_bytes + self.note_bytes + items

    @property
    def title(self) -> str:
        """The beginning of what the user said first; empty where nobody has spoken."""
        titles = (place.title for place in self.places if place.title is not None)
        return next(titles, "")

    def place(self, item_id: str) -> Place:
        """Where an item stands that is there."""
        index = self._index(item_id)
        assert index is not None
        return self.places[index]

    def apply(self, change: Change) -> None:
        """Take a change in."""
        match change:
            case ItemKept(entry, after):
                self._put(entry, after)
            case ItemGone(item_id):
                index = self._index(item_id)
                if index is not None:
                    self.items_bytes -= self.places.pop(index).num_bytes
                    self.pending.entries.pop(item_id, None)
                    self.pending.gone.add(item_id)
            case SummaryKept(summary):
                self.summary_bytes = len(summary.encode())
                self.pending.summary = summary
            case NoteKept(note):
                self.note_bytes = len(note.encode())
                self.pending.note = note

    def check_integrity(self) -> None:
        """Prove that the books agree; for tests."""
        positions = [place.position for place in self.places]
        assert positions == sorted(set(positions))
        assert len({place.item_id for place in self.places}) == len(self.places)
        assert self.items_bytes == sum(place.num_bytes for place in self.places)
        here = {place.item_id for place in self.places}
        assert here.issuperset(self.pending.entries)

    def _put(self, entry: Entry, after: str | None) -> None:
        self.pending.entries[entry.id] = entry
        index = self._index(entry.id)
        if index is not None:
            place = self.places[index]
            self.items_bytes += entry.num_bytes - place.num_bytes
            place.num_bytes, place.title = entry.num_bytes, title_of(entry)
            return
        before = None if after is None else self._index(after)
        if after is not None and before is None:
            index = len(self.places)
        else:
            index = 0 if before is None else before + 1
        place = Place(entry.id, self._position(index), entry.num_bytes, title_of(entry))
        self.places.insert(index, place)
        self.items_bytes += entry.num_bytes

    def _position(self, index: int) -> int:
        """A position for an item that is put before the ``index``-th."""
        if not self.places:
            return 0
        if index == len(self.places):
            return self.places[-1].position + GAP
        if index == 0:
            return self.places[0].position - GAP
        low, high = self.places[index - 1].position, self.places[index].position
        if high - low < 2:
            for number, place in enumerate(self.places):
                place.position = number * GAP
            self.pending.is_moved = True
            low, high = self.places[index - 1].position, self.places[index].position
        return (low + high) // 2

    def _index(self, item_id: str) -> int | None:
        for index in reversed(range(len(self.places))):  # what changes is near the end
            if self.places[index].item_id == item_id:
                return index
        return None
