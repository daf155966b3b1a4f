"""One bounded outbox per socket: events leave at once while the reader keeps up, else they merge.

The rule, after measuring what a reader that stalls does to a server:

* While the transport holds no more than the high-water mark, an event is encoded and written at
  once, synchronously, without a task.
* Above it events are kept. Text of one item merges into its last kept delta, so that a slow reader
  gets fewer, larger deltas and loses nothing. Any other event keeps its place in the order, and no
  text moves past it.
* When the transport has drained to the low-water mark, what was kept leaves.
* A reader that takes no byte for the stall timeout, or lets too much pile up, is cut off with
  ``abort()``. A closing handshake would wait for the same reader.

An event gets its id when it is written or takes a place of its own among the kept, so that ids rise
by exactly one on the wire however many deltas were merged. Kept events other than text are encoded
at once: what they describe may change while they wait. ``Backlog`` and ``StallClock`` decide;
``Outbox`` drives a ``Wire``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from server.config import OutboxConfig
from server.metrics import Metrics

E = TypeVar("E")

STALLED = "stalled"
"""Eviction reason: no byte of progress in time."""

OVERFLOW = "overflow"
"""Eviction reason: more was kept than is allowed."""


class Wire(Protocol):
    """The writing side of one socket."""

    def buffered(self) -> int:
        """Bytes that were written and have not left for the kernel."""
        ...

    def write(self, payload: bytes) -> None:
        """Send one text message; never waits, does nothing on a closed socket."""
        ...

    def abort(self) -> None:
        """Cut the socket off at once."""
        ...


@dataclass(frozen=True, slots=True)
class EventRules(Generic[E]):
    """What an outbox needs to know of the events that pass through it.

    Attributes:
        stamp: Gives an event its id; called once per message, in the order of the wire.
        encode: A stamped event's bytes.
        text: For a text delta ``(item, text)``, where the item tells streams apart; else ``None``.
        with_text: The same delta, id included, with another text.
    """

    stamp: Callable[[E], None]
    encode: Callable[[E], bytes]
    text: Callable[[E], tuple[Hashable, str] | None]
    with_text: Callable[[E, str], E]


@dataclass(slots=True)
class _KeptDelta(Generic[E]):
    event: E
    pieces: list[str]


class Backlog(Generic[E]):
    """Events that wait for a slow reader, in order, with adjacent text merged.

    Attributes:
        num_bytes: About how much memory waits here.
        num_merged: Deltas that found a place in an earlier one, ever.
    """

    _ENVELOPE_BYTES = 256

    def __init__(self, rules: EventRules[E]) -> None:
        """Start empty."""
        self._rules = rules
        self._kept: list[_KeptDelta[E] | bytes] = []
        self._open: dict[Hashable, _KeptDelta[E]] = {}
        self.num_bytes = 0
        self.num_merged = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, event: E) -> None:
        """Keep an event; text joins the last kept delta of its item if nothing but text follows."""
        delta = self._rules.text(event)
        if delta is None:
            self._open.clear()
            self._rules.stamp(event)
            payload = self._rules.encode(event)
            self._kept.append(payload)
            self.num_bytes += len(payload)
            return
        item, text = delta
        self.num_bytes += len(text.encode("utf-8", "surrogatepass"))
        earlier = self._open.get(item)
        if earlier is not None:
            earlier.pieces.append(text)
            self.num_merged += 1
            return
        self._rules.stamp(event)
        self._open[item] = kept = _KeptDelta(event, [text])
        self._kept.append(kept)
        self.num_bytes += self._ENVELOPE_BYTES

    def take_all(self) -> list[bytes]:
        """Empty the backlog; returns its messages in order."""
        kept, self._kept = self._kept, []
        self._open.clear()
        self.num_bytes = 0
        return [one if isinstance(one, bytes) else self._encode(one) for one in kept]

    def clear(self) -> None:
        """Forget everything; for a reader that is gone."""
        self._kept.clear()
        self._open.clear()
        self.num_bytes = 0

    def _encode(self, kept: _KeptDelta[E]) -> bytes:
        return self._rules.encode(self._rules.with_text(kept.event, "".join(kept.pieces)))


class StallClock:
    """Notices a reader that takes nothing, from looks at how much has left."""

    def __init__(self, timeout_s: float) -> None:
        """Start with an idle reader."""
        self._timeout_s = timeout_s
        self._most_sent = 0
        self._since: float | None = None

    def is_stalled(self, *, written: int, buffered: int, now: float) -> bool:
        """Take a look; tells whether the reader has stalled for the timeout.

        Args:
            written: Bytes ever written to the transport.
            buffered: Bytes of them that still wait in it.
            now: Seconds on any steady clock.
        """
        sent = written - buffered
        if buffered == 0 or sent > self._most_sent:
            self._most_sent = max(sent, self._most_sent)
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= self._timeout_s


class Outbox(Generic[E]):
    """Writes events to one socket as the rule above says.

    Attributes:
        evicted: Why the reader was cut off, once it was.
    """

    def __init__(
        self, wire: Wire, rules: EventRules[E], config: OutboxConfig, metrics: Metrics
    ) -> None:
        """Start with nothing written."""
        self._wire = wire
        self._rules = rules
        self._config = config
        self._metrics = metrics
        self._backlog: Backlog[E] = Backlog(rules)
        self._stall = StallClock(config.stall_timeout_s)
        self._written = 0
        self._counted_merged = 0
        self.evicted: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether everything has been handed to the transport."""
        return not self._backlog

    def push(self, event: E) -> None:
        """Send an event now, or keep it while the reader is behind. Never waits."""
        if self.evicted is not None:
            return
        if not self._backlog and self._wire.buffered() <= self._config.high_water_bytes:
            self._rules.stamp(event)
            self._write(self._rules.encode(event))
            return
        self._backlog.add(event)
        if self._backlog.num_bytes > self._config.max_kept_bytes:
            self._evict(OVERFLOW)

    def flush(self) -> None:
        """Send what was kept, all of it; called when the transport has drained.

        What is kept is bounded, so this writes a bounded amount above the mark.
        """
        if not self._backlog or self.evicted is not None:
            return
        self._count_merged()
        for payload in self._backlog.take_all():
            self._write(payload)

    def watch(self, now: float) -> None:
        """Look at the reader's progress; a stalled one is cut off. Called a few times a second."""
        if self.evicted is not None:
            return
        buffered = self._wire.buffered()
        self._metrics.ws_send_buffer.observe(buffered)
        if buffered <= self._config.low_water_bytes:
            self.flush()  # in case the transport's own notice went astray
        if self._stall.is_stalled(written=self._written, buffered=buffered, now=now):
            self._evict(STALLED)
        elif buffered > self._config.high_water_bytes + 2 * self._config.max_kept_bytes:
            self._evict(OVERFLOW)  # answers to a flood of pings pile up behind our back

    def _write(self, payload: bytes) -> None:
        self._written += len(payload) + _frame_header_size(len(payload))
        self._wire.write(payload)

    def _evict(self, reason: str) -> None:
        self.evicted = reason
        self._count_merged()
        self._backlog.clear()
        self._metrics.ws_evictions.labels(reason).inc()
        self._wire.abort()

    def _count_merged(self) -> None:
        self._metrics.ws_coalesced.inc(self._backlog.num_merged - self._counted_merged)
        self._counted_merged = self._backlog.num_merged


def _frame_header_size(num_bytes: int) -> int:
    """Bytes of the header of an unmasked frame (RFC 6455, section 5.2)."""
    if num_bytes < 126:
        return 2
    return 4 if num_bytes < 65536 else 10
