"""What a session has told its client and may have to tell once more: numbered, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from server.resume.entries import CHAR_BYTES, NUMBER_BYTES, EventRules, Message, Run
from server.resume.gap import Gap
from server.text.growing_text import GrowingText

E = TypeVar("E")

_MAX_RUN_CHARS = 16 * 1024
"""Told text of one item is forgotten in pieces of this size, about."""
MAX_LOST_ITEMS = 1024
"""Items that are remembered of what was forgotten, or seen; beyond, a gap may have touched any."""
MAX_LOST_ENDS = 8
"""Ends of replies that are remembered of what was forgotten."""


class Told(Generic[E]):
    """The told part of a journal; what is forgotten is remembered by its items and its ends.

    Attributes:
        last_number: Of the newest told event; 0 before the first.
    """

    def __init__(self, rules: EventRules[E], *, max_bytes: int) -> None:
        """Start with nothing told.

        Args:
            rules: What to know of events.
            max_bytes: What is kept may take, about; the oldest is forgotten first.
        """
        self._rules = rules
        self._max_bytes = max_bytes
        self._entries: deque[Message | Run[E]] = deque()
        self._num_bytes = 0
        self._num_kept = 0  # numbers
        self._lost: dict[str, int] = {}  # last number by item of what is not kept, oldest first
        self._lost_ends: deque[tuple[int, Message]] = deque(maxlen=MAX_LOST_ENDS)
        self._vague_before = 0  # a gap that begins before this number may have touched any item
        self.last_number = 0

    def keep(self, message: Message, now: float) -> None:
        """Give a message the next number."""
        message.at = now
        self._entries.append(message)
        self._num_bytes += message.num_bytes
        self._count_one()

    def keep_text(self, event: E, key: Hashable, text: str, now: float) -> None:
        """Give a delta of text the next number."""
        last = self._entries[-1] if self._entries else None
        if isinstance(last, Run) and last.key == key and last.text.num_chars < _MAX_RUN_CHARS:
            run = last
            run.text.append(text)
            self._num_bytes += CHAR_BYTES * len(text) + NUMBER_BYTES
        else:
            run = Run(event, key, self._rules.items(event), GrowingText(text))
            self._entries.append(run)
            self._num_bytes += run.num_bytes + NUMBER_BYTES
        run.ends.append(run.text.num_chars)
        run.at = now
        self._count_one()

    def forget(self, before: float) -> None:
        """Let go of what was told before a time."""
        while self._entries and self._entries[0].at < before:
            self._forget_oldest()

    def confirm(self, after: int | None) -> Gap | None:
        """Let go of what a client has seen.

        Args:
            after: The last number that it has seen; ``None`` where it does not know.

        Returns:
            What it cannot see any more; ``None`` for nothing.
        """
        first = self.last_number - self._num_kept + 1
        if after is None or after < first - 1:
            items = {item for item, number in self._lost.items() if after is None or number > after}
            if after is None:
                items |= {item for entry in self._entries for item in entry.items}
            is_vague = (after or 0) < self._vague_before
            return Gap(None if is_vague else frozenset(items))
        while self._entries and first <= after:
            entry = self._entries[0]
            seen = min(entry.num_numbers, after - first + 1)
            if seen < entry.num_numbers:
                assert isinstance(entry, Run)
                entry.drop_first(seen)
                self._remember(entry.items, after)
                break
            self._entries.popleft()
            first += seen
            self._remember(entry.items, first - 1)
        return None

    def take(self) -> list[Message | Run[E]]:
        """Give out all that is kept, in order, to be told once more."""
        taken = list(self._entries)
        self._entries.clear()
        self._num_bytes = self._num_kept = 0
        return taken

    def make_good(self, gap: Gap, after: int | None) -> list[Message]:
        """Take note that a gap is told as it now is, and that numbers go on from the place.

        Returns:
            The ends that it has missed.
        """
        ends = [end for number, end in self._lost_ends if after is None or number > after]
        self._lost_ends.clear()
        place = self.last_number if after is None else after
        self._lost = {item: min(number, place) for item, number in self._lost.items()}
        self._vague_before = min(self._vague_before, place)
        if gap.items is None:
            self._vague_before = place
        else:
            self._remember(gap.items, place)
        return ends

    def check_integrity(self) -> None:
        """Prove that the books agree; for tests."""
        assert self._num_kept == sum(entry.num_numbers for entry in self._entries)
        assert self._num_kept <= self.last_number
        assert self._num_bytes == sum(entry.num_bytes for entry in self._entries)
        assert self._num_bytes <= self._max_bytes
        assert len(self._lost) <= MAX_LOST_ITEMS

    def _count_one(self) -> None:
        self.last_number += 1
        self._num_kept += 1
        while self._num_bytes > self._max_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        first = self.last_number - self._num_kept + 1
        entry = self._entries.popleft()
        last = first + entry.num_numbers - 1
        self._num_kept -= entry.num_numbers
        self._num_bytes -= entry.num_bytes
        self._remember(entry.items, last)
        if isinstance(entry, Message) and entry.is_end:
            self._lost_ends.append((last, entry))

    def _remember(self, items: Iterable[str], number: int) -> None:
        """Note of items that what was told of them is not kept any more, up to a number."""
        for item in items:
            self._lost.pop(item, None)
            self._lost[item] = number
        while len(self._lost) > MAX_LOST_ITEMS:
            oldest = next(iter(self._lost))
            self._vague_before = max(self._vague_before, self._lost.pop(oldest))
