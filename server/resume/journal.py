"""What a session has told its client, and what it still has to: numbered, merged, bounded.

::

                    told                                  untold
    ◄───────────────────────────────────┬──────────────────────────────────────►
     number 1 … forgotten … 17 18 19 20  │  event, text, ▮ event      (▮: held)
                            └ kept: may have been lost with a socket

Events that wait for a slow reader are *untold*; text of one item merges into the last of its deltas
that waits, and never moves past another event. What is written gets the next number, so numbers
rise by one on the wire however much was merged, and stays here as *told* for a while. When the
client comes back over another socket it names the last number that it has seen. All behind that is
untold again, merged, and numbered anew from there: to the client, numbers rise by one over any
number of sockets, and nothing comes twice. A greeting is for one socket and is not told on another.

What is told is bounded in bytes and in age; the oldest is forgotten first. A client whose place has
been forgotten has a *gap*: it is told anew what the items are now that the gap may have touched.

A *hold* keeps everything behind it untold until it is opened: what acknowledges a turn waits for
that turn to be safe.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

E = TypeVar("E")

ENVELOPE_BYTES = 256
"""What an entry takes beside its text or its payload, about."""
_NUMBER_BYTES = 8
_CHAR_BYTES = 4  # of text beyond the Basic Multilingual Plane; of most, less
_MAX_RUN_CHARS = 16 * 1024
"""Told text of one item is forgotten in pieces of this size, about."""
_FOLD_PIECES = 64
MAX_LOST_ITEMS = 1024
"""Items that are remembered of what was forgotten; beyond, a gap may have touched any."""
MAX_LOST_ENDS = 8
"""Ends of replies that are remembered of what was forgotten."""


@dataclass(frozen=True, slots=True)
class EventRules(Generic[E]):
    """What a journal needs to know of the events that pass through it.

    Attributes:
        name: The id of an event with this number.
        encode: An event's bytes under an id.
        rename: Bytes of an event under another id than the one they hold.
        text: For a text delta ``(item, text)``, where the item tells streams apart; else ``None``.
        with_text: The same delta with another text.
        items: Ids of the conversation's items that an event speaks of.
        announces: Whether a client knows of these items by this event.
        is_end: Whether an event is the last of something that a client waits for.
        is_greeting: Whether an event speaks of the socket that it is told on, and so means nothing
            on the next one.
    """

    name: Callable[[int], str]
    encode: Callable[[E, str], bytes]
    rename: Callable[[bytes, str, str], bytes]
    text: Callable[[E], tuple[Hashable, str] | None]
    with_text: Callable[[E, str], E]
    items: Callable[[E], tuple[str, ...]]
    announces: Callable[[E], bool]
    is_end: Callable[[E], bool]
    is_greeting: Callable[[E], bool]


class Hold:
    """Keeps what is added behind it until it is opened."""

    __slots__ = ("is_open",)

    def __init__(self) -> None:
        """Start closed."""
        self.is_open = False


@dataclass(slots=True)
class _Message:
    """Any event but text; encoded when it was added, as what it describes may change.

    Attributes:
        payload: Its bytes.
        name: The id that these hold.
        items: See ``EventRules``.
        announces: See ``EventRules``.
        is_end: See ``EventRules``.
        is_greeting: See ``EventRules``.
        is_first: Whether it was put before all that waited.
        at: When it was told.
    """

    payload: bytes
    name: str
    items: tuple[str, ...]
    announces: bool
    is_end: bool
    is_greeting: bool
    is_first: bool = False
    at: float = 0.0

    num_numbers = 1

    @property
    def num_bytes(self) -> int:
        return len(self.payload) + ENVELOPE_BYTES


@dataclass(slots=True)
class _Run(Generic[E]):
    """Text of one item, in one delta or several.

    Attributes:
        event: One of its deltas; gives all but the text.
        key: What tells streams apart.
        items: See ``EventRules``.
        pieces: The text.
        num_chars: Code points of it.
        ends: Where each told delta ends in it; empty while it is untold.
        at: When the last of it was told.
    """

    event: E
    key: Hashable
    items: tuple[str, ...]
    pieces: list[str]
    num_chars: int
    ends: array[int] = field(default_factory=lambda: array("L"))
    at: float = 0.0

    is_end = False

    @property
    def num_numbers(self) -> int:
        return len(self.ends)

    @property
    def num_bytes(self) -> int:
        return ENVELOPE_BYTES + _CHAR_BYTES * self.num_chars + _NUMBER_BYTES * len(self.ends)

    def append(self, text: str) -> None:
        self.pieces.append(text)
        self.num_chars += len(text)
        if len(self.pieces) > _FOLD_PIECES:  # short strings are dear
            self.pieces = ["".join(self.pieces)]

    def text_after(self, num_deltas: int) -> str:
        start = self.ends[num_deltas - 1] if num_deltas else 0
        return "".join(self.pieces)[start:]


_Entry = _Message | _Run[E] | Hold


@dataclass(frozen=True, slots=True)
class Gap:
    """What a client may have missed for good.

    Attributes:
        items: Ids of the items that it may not know as they are; ``None`` for any of them.
        unsaid: Ids of items that it cannot know yet: what announces them still waits.
    """

    items: frozenset[str] | None
    unsaid: frozenset[str] = frozenset()

    def touches(self, items: Iterable[str]) -> bool:
        """Whether something that speaks of these items is told anew with them."""
        told_anew = (item for item in items if item not in self.unsaid)
        return any(self.items is None or item in self.items for item in told_anew)

    def joined(self, other: Gap | None) -> Gap:
        """Both in one."""
        if other is None:
            return self
        return Gap(None if self.items is None or other.items is None else self.items | other.items)


class Journal(Generic[E]):
    """Of one session; see the module.

    Attributes:
        last_number: Of the newest told event; 0 before the first.
        num_untold_bytes: About what waits.
        num_merged: Deltas that found a place in an earlier one while they waited, ever.
    """

    def __init__(self, rules: EventRules[E], *, max_told_bytes: int) -> None:
        """Start with nothing told.

        Args:
            rules: What to know of events.
            max_told_bytes: What told events may take, about.
        """
        self._rules = rules
        self._max_told_bytes = max_told_bytes
        self._told: deque[_Message | _Run[E]] = deque()
        self._untold: deque[_Entry[E]] = deque()
        self._open: dict[Hashable, _Run[E]] = {}  # untold text that may grow
        self._num_told_bytes = 0
        self._num_told = 0  # numbers that are kept
        self._lost: dict[str, int] = {}  # last forgotten number by item, oldest first
        self._lost_ends: deque[tuple[int, _Message]] = deque(maxlen=MAX_LOST_ENDS)
        self._gap: Gap | None = None  # that the last greeting was to tell of
        self._greeted_at = 0  # its number
        self._vague_before = 0  # a gap that begins before this number may have touched any item
        self.last_number = 0
        self.num_untold_bytes = 0
        self.num_merged = 0

    @property
    def has_untold(self) -> bool:
        """Whether anything waits, held or not."""
        return bool(self._untold)

    def tell(self, event: E, now: float) -> bytes:
        """Give an event the next number and return it as bytes; only while nothing waits.

        Args:
            event: It counts as told from now on.
            now: Seconds, on the clock of all ``now``.
        """
        assert not self._untold
        self.last_number += 1
        name = self._rules.name(self.last_number)
        payload = self._rules.encode(event, name)
        text = self._rules.text(event)
        if text is not None:
            self._keep_text(event, *text, now)
        else:
            self._keep(self._message(event, payload, name), now)
        return payload

    def add(self, event: E) -> None:
        """Put an event behind what waits; merges text, encodes anything else."""
        text = self._rules.text(event)
        if text is None:
            self._open.clear()  # no text moves past this event
            message = self._message(event, self._rules.encode(event, ""), "")
            self._untold.append(message)
            self.num_untold_bytes += message.num_bytes
            return
        key, words = text
        earlier = self._open.get(key)
        if earlier is not None:
            self.num_untold_bytes -= earlier.num_bytes
            earlier.append(words)
            self.num_untold_bytes += earlier.num_bytes
            self.num_merged += 1
            return
        run = _Run(event, key, self._rules.items(event), [words], len(words))
        self._open[key] = run
        self._untold.append(run)
        self.num_untold_bytes += run.num_bytes

    def hold(self) -> Hold:
        """Keep what is added from now on untold until the hold is opened."""
        hold = Hold()
        self._open.clear()
        self._untold.append(hold)
        return hold

    def take(self, now: float) -> list[bytes]:
        """Number what waits, up to the first hold, and return it as bytes; it counts as told."""
        return [self._tell_untold(entry, now) for entry in self._released()]

    def pass_over(self, now: float) -> None:
        """Like ``take``, for nobody: what waits counts as told, and can be rewound."""
        for entry in self._released():
            self.last_number += 1
            self._keep_told(entry, now)

    def put_first(self, events: Sequence[E]) -> None:
        """Put events before all that waits; nothing that waits may be text of the same items."""
        for event in reversed(events):
            message = self._message(event, self._rules.encode(event, ""), "")
            message.is_first = True
            self._untold.appendleft(message)
            self.num_untold_bytes += message.num_bytes

    def drop_untold(self) -> list[bytes]:
        """Forget what waits; for a session that ends before it can be told.

        Returns:
            What it was, but for text, without ids.
        """
        dropped = [one.payload for one in self._untold if isinstance(one, _Message)]
        self._untold.clear()
        self._open.clear()
        self.num_untold_bytes = 0
        return dropped

    def forget(self, before: float) -> None:
        """Let go of what was told before a time."""
        while self._told and self._told[0].at < before:
            self._forget_oldest()

    def rewind(self, after: int | None) -> Gap | None:
        """Make everything untold again that a client has not seen, but for earlier greetings.

        Args:
            after: The last number that it has seen; ``None`` where it does not know. Numbers go on
                from here.

        Returns:
            ``None`` when nothing is missing. Else what may be: nothing that was told of these items
            waits any more, and no text of them, because what they are now holds it.

        Raises:
            ValueError: Nothing of that number was ever told; nothing is changed.
        """
        if after is not None and not 0 <= after <= self.last_number:
            raise ValueError(f"number {after} of {self.last_number}")
        missed = self._confirm(after)
        has_greeting = after is not None and after >= self._greeted_at
        if self._gap is not None and not has_greeting:
            missed = self._gap.joined(missed)  # the client has not heard of it
        told = list(self._told)
        self._told.clear()
        self._num_told_bytes = self._num_told = 0
        is_stale = partial(_is_stale, has_greeting=has_greeting)
        waiting = [entry for entry in self._untold if not is_stale(entry)]
        self._untold.clear()
        self.num_untold_bytes = 0
        self._open.clear()
        entries: list[_Entry[E]] = [_again(entry) for entry in told if not is_stale(entry)]
        gap = None
        if missed is not None:
            gap = Gap(missed.items, _announced(waiting))
            ends = self._take_lost_ends(after)
            again = (one for one in entries if _is_told_again(one, gap, knows=after is not None))
            entries = [*ends, *again]
            waiting = [
                one for one in waiting if not (isinstance(one, _Run) and gap.touches(one.items))
            ]
            self._lost.clear()
        self._requeue([*entries, *waiting])
        if after is not None:
            self.last_number = after
        self._gap, self._greeted_at = gap, self.last_number + 1
        return gap

    @property
    def num_untold(self) -> int:
        """Messages that wait."""
        return sum(not isinstance(entry, Hold) for entry in self._untold)

    def check_integrity(self) -> None:
        """Prove that the books agree; for tests."""
        assert self._num_told == sum(entry.num_numbers for entry in self._told)
        assert self._num_told <= self.last_number
        assert self._num_told_bytes == sum(entry.num_bytes for entry in self._told)
        assert self._num_told_bytes <= self._max_told_bytes
        waiting = [entry for entry in self._untold if not isinstance(entry, Hold)]
        assert self.num_untold_bytes == sum(entry.num_bytes for entry in waiting)
        assert all(any(run is entry for entry in waiting) for run in self._open.values())
        assert len(self._lost) <= MAX_LOST_ITEMS

    def _message(self, event: E, payload: bytes, name: str) -> _Message:
        rules = self._rules
        return _Message(
            payload,
            name,
            items=rules.items(event),
            announces=rules.announces(event),
            is_end=rules.is_end(event),
            is_greeting=rules.is_greeting(event),
        )

    def _released(self) -> Iterable[_Message | _Run[E]]:
        while self._untold:
            entry = self._untold[0]
            if isinstance(entry, Hold):
                if not entry.is_open:
                    return
                self._untold.popleft()
                continue
            self._untold.popleft()
            self.num_untold_bytes -= entry.num_bytes
            if isinstance(entry, _Run):
                self._open.pop(entry.key, None)
            yield entry

    def _tell_untold(self, entry: _Message | _Run[E], now: float) -> bytes:
        self.last_number += 1
        name = self._rules.name(self.last_number)
        if isinstance(entry, _Message):
            entry.payload = payload = self._rules.rename(entry.payload, entry.name, name)
            entry.name = name
        else:
            event = self._rules.with_text(entry.event, entry.text_after(0))
            payload = self._rules.encode(event, name)
        self._keep_told(entry, now)
        return payload

    def _keep_told(self, entry: _Message | _Run[E], now: float) -> None:
        if isinstance(entry, _Message):
            self._keep(entry, now)
        else:
            self._keep_text(entry.event, entry.key, entry.text_after(0), now)

    def _keep(self, message: _Message, now: float) -> None:
        message.at = now
        self._told.append(message)
        self._num_told += 1
        self._num_told_bytes += message.num_bytes
        self._trim()

    def _keep_text(self, event: E, key: Hashable, text: str, now: float) -> None:
        last = self._told[-1] if self._told else None
        if isinstance(last, _Run) and last.key == key and last.num_chars < _MAX_RUN_CHARS:
            run = last
            run.append(text)
            self._num_told_bytes += _CHAR_BYTES * len(text) + _NUMBER_BYTES
        else:
            run = _Run(event, key, self._rules.items(event), [text], len(text))
            self._told.append(run)
            self._num_told_bytes += run.num_bytes + _NUMBER_BYTES
        run.ends.append(run.num_chars)
        run.at = now
        self._num_told += 1
        self._trim()

    def _trim(self) -> None:
        while self._num_told_bytes > self._max_told_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        first = self.last_number - self._num_told + 1
        entry = self._told.popleft()
        last = first + entry.num_numbers - 1
        self._num_told -= entry.num_numbers
        self._num_told_bytes -= entry.num_bytes
        for item in entry.items:
            self._lost.pop(item, None)
            self._lost[item] = last
        while len(self._lost) > MAX_LOST_ITEMS:
            oldest = next(iter(self._lost))
            self._vague_before = self._lost.pop(oldest)
        if isinstance(entry, _Message) and entry.is_end:
            self._lost_ends.append((last, entry))

    def _confirm(self, after: int | None) -> Gap | None:
        """Let go of what a client has seen; tells of what it cannot see any more."""
        first = self.last_number - self._num_told + 1
        if after is None or after < first - 1:
            items = {item for item, number in self._lost.items() if after is None or number > after}
            if after is None:
                items |= {item for entry in self._told for item in entry.items}
            is_vague = (after or 0) < self._vague_before
            return Gap(None if is_vague else frozenset(items))
        while self._told and first <= after:
            entry = self._told[0]
            seen = min(entry.num_numbers, after - first + 1)
            if seen < entry.num_numbers:
                assert isinstance(entry, _Run)
                rest = entry.text_after(seen)
                ends = array("L", (end - entry.ends[seen - 1] for end in entry.ends[seen:]))
                entry.pieces, entry.num_chars, entry.ends = [rest], len(rest), ends
                break
            self._told.popleft()
            first += seen
        self._vague_before = max(self._vague_before, after)  # what was seen is not kept
        return None

    def _take_lost_ends(self, after: int | None) -> list[_Message]:
        ends = [end for number, end in self._lost_ends if after is None or number > after]
        self._lost_ends.clear()
        return ends

    def _requeue(self, entries: Sequence[_Entry[E]]) -> None:
        """Let entries wait again, in order; text that has come to stand together is merged."""
        for entry in entries:
            last = self._untold[-1] if self._untold else None
            if isinstance(entry, _Run) and isinstance(last, _Run) and last.key == entry.key:
                self.num_untold_bytes -= last.num_bytes
                last.append(entry.text_after(0))
                self.num_untold_bytes += last.num_bytes
                self.num_merged += 1
                continue
            self._untold.append(entry)
            if not isinstance(entry, Hold):
                self.num_untold_bytes += entry.num_bytes
        # What waits last may grow, if it is text.
        last = self._untold[-1] if self._untold else None
        if isinstance(last, _Run):
            self._open[last.key] = last


def _again(entry: _Message | _Run[E]) -> _Message | _Run[E]:
    """A told entry as one that waits."""
    if isinstance(entry, _Run):
        return _Run(entry.event, entry.key, entry.items, entry.pieces, entry.num_chars)
    return entry


def _is_stale(entry: _Entry[E], *, has_greeting: bool) -> bool:
    """Whether a new greeting takes an entry's place.

    What an earlier one told of the items goes with it, unless the client has seen that greeting.
    """
    if not isinstance(entry, _Message):
        return False
    return entry.is_greeting or (entry.is_first and not has_greeting)


def _announced(waiting: Iterable[_Entry[E]]) -> frozenset[str]:
    messages = (one for one in waiting if isinstance(one, _Message) and one.announces)
    return frozenset(item for message in messages for item in message.items)


def _is_told_again(entry: _Entry[E], gap: Gap, *, knows: bool) -> bool:
    """Whether what was told before waits once more behind a gap.

    Ends always do: somebody waits for them. Nothing else does where the client does not know its
    place, as it may have seen any of it, nor what the items say that are told anew.
    """
    if isinstance(entry, Hold):
        return True
    return entry.is_end or (knows and not gap.touches(entry.items))
