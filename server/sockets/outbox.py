"""One bounded outbox per session: events leave at once while the reader keeps up, else they merge.

The rule, after measuring what a reader that stalls does to a server:

* While the transport holds no more than the high-water mark, an event is encoded and written at
  once, synchronously, without a task.
* Above it events are kept. Text of one item merges into its last kept delta, so that a slow reader
  gets fewer, larger deltas and loses nothing. Any other event keeps its place in the order, and no
  text moves past it.
* When the transport has drained to the low-water mark, what was kept leaves.
* A reader that takes no byte for the stall timeout, or lets too much pile up, is cut off with
  ``abort()``. A closing handshake would wait for the same reader.
* While there is no socket, events count as told: the client hears them when it comes back.

What is kept, numbered and told again is the ``server.resume.journal``'s; ``StallClock`` decides who
has stalled; ``Outbox`` drives a ``Wire``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from server.config.sockets import OutboxConfig
from server.metrics import Metrics
from server.resume.journal import Journal
from server.sockets.frames import frame_size

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
    """Writes a session's events to the socket that it has, if it has one, as the rule above says.

    Attributes:
        evicted: Why the reader of the present socket was cut off, once it was.
    """

    def __init__(
        self,
        journal: Journal[E],
        config: OutboxConfig,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """Start without a socket.

        Args:
            journal: Numbers and keeps the events; changed by every call.
            config: Water marks and timeouts.
            metrics: Told of evictions and merged deltas.
            clock: Seconds on any steady clock.
        """
        self._journal = journal
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._wire: Wire | None = None
        self._stall = StallClock(config.stall_timeout_s)
        self._written = 0
        self._counted_merged = 0
        self.evicted: str | None = None

    def attach(self, wire: Wire) -> None:
        """Write to this socket from now on, beginning with what waits."""
        self._wire = wire
        self._stall = StallClock(self._config.stall_timeout_s)
        self._written = 0
        self.evicted = None
        self.flush()

    def detach(self) -> None:
        """There is no socket any more."""
        self._wire = None
        self.flush()

    def push(self, event: E) -> None:
        """Send an event now, or keep it while the reader is behind. Never waits."""
        wire, journal = self._open_wire, self._journal
        if wire is None:
            journal.add(event)
            journal.pass_over(self._clock())
            return
        if not journal.has_untold and wire.buffered() <= self._config.high_water_bytes:
            self._write(wire, journal.tell(event, self._clock()))
            return
        journal.add(event)
        if journal.num_untold_bytes > self._config.max_kept_bytes:
            self._evict(OVERFLOW)

    def flush(self) -> None:
        """Send what was kept, all that is not held; called when the transport has drained.

        What is kept is bounded, so this writes a bounded amount above the mark.
        """
        if not self._journal.has_untold:
            return
        self._count_merged()
        wire = self._open_wire
        if wire is None:
            self._journal.pass_over(self._clock())
            return
        for payload in self._journal.take(self._clock()):
            self._write(wire, payload)

    def release(self) -> None:
        """A hold was opened: send what it kept back, unless the reader is behind."""
        wire = self._open_wire
        if wire is None or wire.buffered() <= self._config.high_water_bytes:
            self.flush()

    def watch(self, now: float) -> None:
        """Look at the reader's progress; a stalled one is cut off. Called a few times a second."""
        wire = self._open_wire
        if wire is None:
            return
        buffered = wire.buffered()
        self._metrics.ws_send_buffer.observe(buffered)
        if buffered <= self._config.low_water_bytes:
            self.flush()  # in case the transport's own notice went astray
        if self._stall.is_stalled(written=self._written, buffered=buffered, now=now):
            self._evict(STALLED)
        elif buffered > self._config.high_water_bytes + 2 * self._config.max_kept_bytes:
            self._evict(OVERFLOW)  # answers to a flood of pings pile up behind our back

    @property
    def _open_wire(self) -> Wire | None:
        return self._wire if self.evicted is None else None

    def _write(self, wire: Wire, payload: bytes) -> None:
        self._written += frame_size(len(payload))
        wire.write(payload)

    def _evict(self, reason: str) -> None:
        assert self._wire is not None
        self.evicted = reason
        self._metrics.ws_evictions.labels(reason).inc()
        self._wire.abort()
        self.flush()  # for nobody: it is told when the client comes back

    def _count_merged(self) -> None:
        self._metrics.ws_coalesced.inc(self._journal.num_merged - self._counted_merged)
        self._counted_merged = self._journal.num_merged
