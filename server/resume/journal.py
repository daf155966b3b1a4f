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

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar

from server.resume.entries import Entry, EventRules, Hold, Message, Run
from server.resume.gap import Gap
from server.resume.told import Told
from server.text.growing_text import GrowingText

E = TypeVar("E")


class Journal(Generic[E]):
    """Of one session; see the module.

    Attributes:
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
        self._told = Told(rules, max_bytes=max_told_bytes)
        self._untold: deque[Entry[E]] = deque()
        self._open: dict[Hashable, Run[E]] = {}  # untold text that may grow
        self._gap: Gap | None = None  # that the last greeting was to tell of
        self._greeted_at = 0  # its number
        self.num_untold_bytes = 0
        self.num_merged = 0

    @property
    def last_number(self) -> int:
        """Of the newest told event; 0 before the first."""
        return self._told.last_number

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
        name = self._rules.name(self.last_number + 1)
        payload = self._rules.encode(event, name)
        text = self._rules.text(event)
        if text is not None:
            self._told.keep_text(event, *text, now)
        else:
            self._told.keep(self._message(event, payload, name), now)
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
            earlier.text.append(words)
            self.num_untold_bytes += earlier.num_bytes
            self.num_merged += 1
            return
        run = Run(event, key, self._rules.items(event), GrowingText(words))
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
        dropped = [one.payload for one in self._untold if isinstance(one, Message)]
        self._untold.clear()
        self._open.clear()
        self.num_untold_bytes = 0
        return dropped

    def forget(self, before: float) -> None:
        """Let go of what was told before a time."""
        self._told.forget(before)

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
        missed = self._told.confirm(after)
        has_greeting = after is not None and after >= self._greeted_at
        if self._gap is not None and not has_greeting:
            missed = self._gap.joined(missed)  # the client has not heard of it
        told = self._told.take()
        is_stale = partial(_is_stale, has_greeting=has_greeting)
        waiting = [entry for entry in self._untold if not is_stale(entry)]
        self._untold.clear()
        self.num_untold_bytes = 0
        self._open.clear()
        entries: list[Entry[E]] = [_again(entry) for entry in told if not is_stale(entry)]
        for entry in (*entries, *waiting):
            if isinstance(entry, Message):
                entry.is_first = False  # the client has seen its greeting
        gap = None
        if missed is not None:
            gap = Gap(missed.items, _announced(waiting))
            ends = self._told.make_good(gap, after)
            again = (one for one in entries if _is_told_again(one, gap, knows=after is not None))
            entries = [*ends, *again]
            waiting = [
                one for one in waiting if not (isinstance(one, Run) and gap.touches(one.items))
            ]
        self._requeue([*entries, *waiting])
        if after is not None:
            self._told.last_number = after
        self._gap, self._greeted_at = gap, self.last_number + 1
        return gap

    @property
    def num_untold(self) -> int:
        """Messages that wait."""
        return sum(not isinstance(entry, Hold) for entry in self._untold)

    def check_integrity(self) -> None:
        """Prove that the books agree; for tests."""
        self._told.check_integrity()
        waiting = [entry for entry in self._untold if not isinstance(entry, Hold)]
        assert self.num_untold_bytes == sum(entry.num_bytes for entry in waiting)
        assert all(any(run is entry for entry in waiting) for run in self._open.values())

    def _message(self, event: E, payload: bytes, name: str) -> Message:
        rules = self._rules
        return Message(
            payload,
            name,
            items=rules.items(event),
            announces=rules.announces(event),
            is_end=rules.is_end(event),
            is_greeting=rules.is_greeting(event),
        )

    def _released(self) -> Iterable[Message | Run[E]]:
        while self._untold:
            entry = self._untold[0]
            if isinstance(entry, Hold):
                if not entry.is_open:
                    return
                self._untold.popleft()
                continue
            self._untold.popleft()
            self.num_untold_bytes -= entry.num_bytes
            if isinstance(entry, Run):
                self._open.pop(entry.key, None)
            yield entry

    def _tell_untold(self, entry: Message | Run[E], now: float) -> bytes:
        name = self._rules.name(self.last_number + 1)
        if isinstance(entry, Message):
            entry.payload = payload = self._rules.rename(entry.payload, entry.name, name)
            entry.name = name
        else:
            event = self._rules.with_text(entry.event, entry.text_after(0))
            payload = self._rules.encode(event, name)
        self._keep_told(entry, now)
        return payload

    def _keep_told(self, entry: Message | Run[E], now: float) -> None:
        if isinstance(entry, Message):
            self._told.keep(entry, now)
        else:
            self._told.keep_text(entry.event, entry.key, entry.text_after(0), now)

    def _requeue(self, entries: Sequence[Entry[E]]) -> None:
        """Let entries wait again, in order; text that has come to stand together is merged."""
        for entry in entries:
            last = self._untold[-1] if self._untold else None
            if isinstance(entry, Run) and isinstance(last, Run) and last.key == entry.key:
                self.num_untold_bytes -= last.num_bytes
                last.text.append(entry.text_after(0))
                self.num_untold_bytes += last.num_bytes
                self.num_merged += 1
                continue
            self._untold.append(entry)
            if not isinstance(entry, Hold):
                self.num_untold_bytes += entry.num_bytes
        # What waits last may grow, if it is text.
        last = self._untold[-1] if self._untold else None
        if isinstance(last, Run):
            self._open[last.key] = last


def _again(entry: Message | Run[E]) -> Message | Run[E]:
    """A told entry as one that waits."""
    if isinstance(entry, Run):
        return Run(entry.event, entry.key, entry.items, entry.text)
    return entry


def _is_stale(entry: Entry[E], *, has_greeting: bool) -> bool:
    """Whether a new greeting takes an entry's place.

    What an earlier one told of the items goes with it, unless the client has seen that greeting.
    """
    if not isinstance(entry, Message):
        return False
    return entry.is_greeting or (entry.is_first and not has_greeting)


def _announced(waiting: Iterable[Entry[E]]) -> frozenset[str]:
    messages = (one for one in waiting if isinstance(one, Message) and one.announces)
    return frozenset(item for message in messages for item in message.items)


def _is_told_again(entry: Entry[E], gap: Gap, *, knows: bool) -> bool:
    """Whether what was told before waits once more behind a gap.

    Ends always do: somebody waits for them. Nothing else does where the client does not know its
    place, as it may have seen any of it, nor what the items say that are told anew.
    """
    if isinstance(entry, Hold):
        return True
    return entry.is_end or (knows and not gap.touches(entry.items))
