"""The outbox loses nothing, keeps order and memory, and cuts off who stalls."""

from __future__ import annotations

import itertools
import random
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import pytest

from server.config import OutboxConfig
from server.metrics import Metrics
from server.sockets.outbox import OVERFLOW, STALLED, Backlog, EventRules, Outbox, StallClock


@dataclass
class Said:
    """A text delta when ``item`` is set, else some other event."""

    text: str
    item: str | None = None
    number: int = 0


@dataclass
class FakeWire:
    """A socket whose reader takes as much as the test says."""

    buffer: int = 0
    sent: list[bytes] = field(default_factory=list)
    aborted: bool = False
    absorbs: bool = True

    def buffered(self) -> int:
        return self.buffer

    def write(self, payload: bytes) -> None:
        self.sent.append(payload)
        if not self.absorbs:
            self.buffer += len(payload) + 2

    def abort(self) -> None:
        self.aborted = True


def _text(event: Said) -> tuple[Hashable, str] | None:
    return None if event.item is None else (event.item, event.text)


def make_rules() -> EventRules[Said]:
    """Rules that number events as they are stamped, ``1:text``."""
    count = itertools.count(1)

    def stamp(event: Said) -> None:
        event.number = next(count)

    return EventRules(
        stamp=stamp,
        encode=lambda event: f"{event.number}:{event.text}".encode("utf-8", "surrogatepass"),
        text=_text,
        with_text=lambda event, text: replace(event, text=text),
    )


@pytest.fixture
def wire() -> FakeWire:
    """A reader that keeps up."""
    return FakeWire()


def make_outbox(wire: FakeWire, **config: float) -> Outbox[Said]:
    """An outbox on a wire, with a few settings changed."""
    return Outbox(wire, make_rules(), OutboxConfig(**config), Metrics())  # type: ignore[arg-type]


class TestBacklog:
    """What is merged and what is not."""

    def test_text_of_one_item_merges(self) -> None:
        """Adjacent deltas of an item leave as one."""
        backlog = Backlog(make_rules())
        for word in ("a", "b", "c"):
            backlog.add(Said(word, "item"))
        assert backlog.take_all() == [b"1:abc"]
        assert backlog.num_merged == 2

    def test_items_do_not_mix(self) -> None:
        """Interleaved deltas of two items merge each with their own."""
        backlog = Backlog(make_rules())
        for text, item in (("a", "x"), ("1", "y"), ("b", "x"), ("2", "y")):
            backlog.add(Said(text, item))
        assert backlog.take_all() == [b"1:ab", b"2:12"]

    def test_no_text_moves_past_another_event(self) -> None:
        """An event between two deltas keeps its place."""
        backlog = Backlog(make_rules())
        for event in (Said("a", "x"), Said("smile"), Said("b", "x")):
            backlog.add(event)
        assert backlog.take_all() == [b"1:a", b"2:smile", b"3:b"]

    def test_a_kept_event_is_told_as_it_was(self) -> None:
        """What an event describes may change while it waits; the message does not."""
        backlog = Backlog(make_rules())
        backlog.add(event := Said("in progress"))
        event.text = "completed"
        assert backlog.take_all() == [b"1:in progress"]

    def test_it_is_empty_after_it_was_taken(self) -> None:
        """Taking empties, and later text starts a new delta."""
        backlog = Backlog(make_rules())
        backlog.add(Said("a", "x"))
        backlog.take_all()
        assert (len(backlog), backlog.num_bytes) == (0, 0)
        backlog.add(Said("b", "x"))
        assert backlog.take_all() == [b"2:b"]

    def test_a_lone_surrogate_does_not_break_the_count(self) -> None:
        """Text that cannot be encoded strictly is weighed all the same."""
        backlog = Backlog(make_rules())
        backlog.add(Said("\ud800", "x"))
        assert backlog.num_bytes > 0


class TestStallClock:
    """When a reader counts as stalled."""

    def test_a_reader_that_takes_nothing_stalls(self) -> None:
        """No progress for the timeout, with bytes waiting, is a stall."""
        clock = StallClock(10)
        assert not clock.is_stalled(written=100, buffered=100, now=0)
        assert not clock.is_stalled(written=100, buffered=100, now=9.9)
        assert clock.is_stalled(written=100, buffered=100, now=10)

    def test_a_slow_reader_is_no_stalled_reader(self) -> None:
        """A byte now and then resets the clock, even while the buffer grows."""
        clock = StallClock(10)
        for second in range(100):
            written, sent = second * 50, second
            assert not clock.is_stalled(written=written, buffered=written - sent, now=second)

    def test_an_idle_socket_never_stalls(self) -> None:
        """With nothing to take there is nothing to miss."""
        clock = StallClock(10)
        assert not any(clock.is_stalled(written=9, buffered=0, now=t) for t in range(0, 1000, 5))


class TestOutbox:
    """The whole, on a fake wire."""

    def test_events_leave_at_once_while_the_reader_keeps_up(self, wire: FakeWire) -> None:
        """Each delta is its own message."""
        outbox = make_outbox(wire)
        outbox.push(Said("a", "x"))
        outbox.push(Said("b", "x"))
        assert wire.sent == [b"1:a", b"2:b"]
        assert outbox.is_empty

    def test_above_the_high_water_mark_nothing_is_written(self, wire: FakeWire) -> None:
        """Events are kept while the transport is full."""
        outbox = make_outbox(wire)
        wire.buffer = 16 * 1024 + 1
        outbox.push(Said("a", "x"))
        assert wire.sent == []
        assert not outbox.is_empty

    def test_ids_rise_by_one_whatever_was_merged(self, wire: FakeWire) -> None:
        """Numbers are given when a message is written."""
        outbox = make_outbox(wire)
        outbox.push(Said("a", "x"))
        wire.buffer = 10**5
        for word in "bcd":
            outbox.push(Said(word, "x"))
        outbox.push(Said("done"))
        wire.buffer = 0
        outbox.flush()
        assert wire.sent == [b"1:a", b"2:bcd", b"3:done"]

    def test_nothing_overtakes_what_is_kept(self, wire: FakeWire) -> None:
        """While something is kept, later events queue behind it even below the mark."""
        outbox = make_outbox(wire)
        wire.buffer = 10**5
        outbox.push(Said("first"))
        wire.buffer = 10 * 1024
        outbox.push(Said("second"))
        assert wire.sent == []
        outbox.flush()
        assert wire.sent == [b"1:first", b"2:second"]

    def test_the_watch_flushes_a_drained_socket(self, wire: FakeWire) -> None:
        """A missed notice of the transport costs half a second, not the reply."""
        outbox = make_outbox(wire)
        wire.buffer = 10**5
        outbox.push(Said("a", "x"))
        wire.buffer = 0
        outbox.watch(1.0)
        assert wire.sent == [b"1:a"]

    def test_a_stalled_reader_is_cut_off(self, wire: FakeWire) -> None:
        """After the timeout without progress the socket is aborted, with the reason kept."""
        outbox = make_outbox(wire, stall_timeout_s=10)
        wire.absorbs = False
        for _ in range(200):
            outbox.push(Said("x" * 100, "item"))
        outbox.watch(0.0)
        assert not wire.aborted
        outbox.watch(10.0)
        assert wire.aborted
        assert outbox.evicted == STALLED

    def test_too_much_kept_cuts_off(self, wire: FakeWire) -> None:
        """Events that may not be merged have a bound."""
        outbox = make_outbox(wire, max_kept_bytes=4096)
        wire.buffer = 10**5
        for _ in range(5):
            outbox.push(Said("e" * 1000))
        assert outbox.evicted == OVERFLOW
        assert wire.aborted

    def test_nothing_is_written_after_eviction(self, wire: FakeWire) -> None:
        """An evicted outbox swallows what still comes."""
        outbox = make_outbox(wire, max_kept_bytes=1024)
        wire.buffer = 10**5
        outbox.push(Said("e" * 2000))
        wire.buffer = 0
        outbox.push(Said("late"))
        outbox.flush()
        assert wire.sent == []

    def test_a_flood_of_pong_bytes_cuts_off(self, wire: FakeWire) -> None:
        """Bytes that the library queues by itself are bounded too."""
        outbox = make_outbox(wire)
        wire.buffer = 5 * 1024 * 1024
        outbox.watch(0.0)
        assert outbox.evicted == OVERFLOW

    @pytest.mark.parametrize("seed", range(20))
    def test_no_text_is_lost_under_random_stalls(self, wire: FakeWire, seed: int) -> None:
        """The deltas, concatenated, are the text, and ids have no gap."""
        rng = random.Random(seed)
        outbox = make_outbox(wire)
        expected = ""
        for number in range(500):
            wire.buffer = rng.choice((0, 10**5))
            if wire.buffer == 0 and rng.random() < 0.5:
                outbox.flush()
            text = f"<{number}>"
            expected += text
            outbox.push(Said(text, "x" if rng.random() < 0.9 else None))
        wire.buffer = 0
        outbox.flush()
        ids, texts = zip(*(payload.decode().split(":", 1) for payload in wire.sent), strict=True)
        assert "".join(texts) == expected
        assert [int(one) for one in ids] == list(range(1, len(ids) + 1))
