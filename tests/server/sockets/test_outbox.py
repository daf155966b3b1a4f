"""The outbox loses nothing, keeps order and memory, and cuts off who stalls."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from server.config.sockets import OutboxConfig
from server.metrics import Metrics
from server.resume.journal import Journal
from server.sockets.outbox import OVERFLOW, STALLED, Outbox, StallClock
from tests.support.said import Said, make_rules


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


@pytest.fixture
def wire() -> FakeWire:
    """A reader that keeps up."""
    return FakeWire()


def make_outbox(wire: FakeWire, **config: float) -> Outbox[Said]:
    """An outbox on a wire, with a few settings changed."""
    journal = Journal(make_rules(), max_told_bytes=10**6)
    settings = OutboxConfig(**config)  # type: ignore[arg-type]
    outbox = Outbox(journal, settings, Metrics(), lambda: 0.0)
    outbox.attach(wire)
    return outbox


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

    def test_above_the_high_water_mark_nothing_is_written(self, wire: FakeWire) -> None:
        """Events are kept while the transport is full."""
        outbox = make_outbox(wire)
        wire.buffer = 16 * 1024 + 1
        outbox.push(Said("a", "x"))
        assert wire.sent == []

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

    def test_what_nobody_heard_can_be_told_again(self, wire: FakeWire) -> None:
        """Without a socket events count as told; the next socket gets them after a rewind."""
        journal = Journal(make_rules(), max_told_bytes=10**6)
        outbox = Outbox(journal, OutboxConfig(), Metrics(), lambda: 0.0)
        outbox.attach(wire)
        outbox.push(Said("a", "x"))
        outbox.detach()
        for word in "bc":
            outbox.push(Said(word, "x"))
        assert wire.sent == [b"1:a"]
        journal.rewind(1)
        outbox.attach(wire)
        assert wire.sent == [b"1:a", b"2:bc"]

    def test_what_is_held_leaves_when_it_is_released(self, wire: FakeWire) -> None:
        """Events behind a hold wait for it, in order, however fast the reader is."""
        journal = Journal(make_rules(), max_told_bytes=10**6)
        outbox = Outbox(journal, OutboxConfig(), Metrics(), lambda: 0.0)
        outbox.attach(wire)
        hold = journal.hold()
        outbox.push(Said("safe"))
        outbox.push(Said("a", "x"))
        assert wire.sent == []
        hold.is_open = True
        outbox.release()
        assert wire.sent == [b"1:safe", b"2:a"]

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
