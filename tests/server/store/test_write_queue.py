"""What waits is bounded, in order, and told how it went."""

from __future__ import annotations

import asyncio

import pytest

from server.conversation.changes import ItemGone, NoteKept, SummaryKept
from server.errors import StoreFailed, StoreUnavailable
from server.store import write_queue
from server.store.interface import Write
from server.store.write_queue import MAX_BATCH, WriteQueue
from server.store.writing import Erase, Job, Outcome
from tests.server.store.rooms import said


def of_size(num_bytes: int, writer: str = "w") -> Write:
    """A write that holds so much, about."""
    return Write(
        principal="mio",
        conversation_id="c",
        model="aoi",
        at=1.0,
        begins=True,
        changes=[SummaryKept("x" * num_bytes), ItemGone("a")],
        writer=writer,
    )


async def test_what_is_taken_is_told_how_it_went() -> None:
    """In order; a failed write is a ``StoreFailed``, a failed erasure has said nothing."""
    woken: list[int] = []
    queue = WriteQueue(lambda: woken.append(1))
    jobs: list[Job] = [of_size(1), Erase("mio", None), of_size(1), Erase("mio", "c")]
    futures = [queue.put(job) for job in jobs]
    taken = queue.take()
    assert [waiting.job for waiting in taken] == jobs
    assert (len(woken), len(queue)) == (4, 4)
    queue.settle(taken, [Outcome(), Outcome(3), Outcome(why="full"), Outcome(why="full")])
    assert len(queue) == 0
    await futures[0]
    assert await futures[1] == 3
    with pytest.raises(StoreFailed, match=r"\(full\)"):
        await futures[2]
    with pytest.raises(StoreUnavailable, match=r"\(full\)"):
        await futures[3]


async def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until what waits is written; one that finds nobody waiting may be larger."""
    monkeypatch.setattr(write_queue, "MAX_WAITING_BYTES", 100)
    queue = WriteQueue(lambda: None)
    large = queue.put(of_size(1000))
    refused = queue.put(of_size(1, "v"))
    assert "too much waits" in str(refused.exception())
    queue.settle(queue.take(), [Outcome()])
    await large
    assert not queue.put(of_size(60)).done()
    assert queue.put(of_size(60, "u")).done()


async def test_notes_and_items_count() -> None:
    """An assistant's words twice, for they are kept twice."""
    change = of_size(0)
    for extra, num_bytes in ((said("a", "x" * 50), 100), (NoteKept("x" * 7), 7)):
        queue = WriteQueue(lambda: None)
        queue.put(
            Write(
                principal="mio",
                conversation_id="c",
                model="aoi",
                at=1.0,
                begins=True,
                changes=[*change.changes, extra],
            )
        )
        (waiting,) = queue.take()
        assert waiting.num_bytes == num_bytes


async def test_no_more_is_taken_at_once_than_one_transaction_should_hold() -> None:
    """The rest is taken next."""
    queue = WriteQueue(lambda: None)
    for _ in range(MAX_BATCH + 5):
        queue.put(of_size(1))
    assert (len(queue.take()), len(queue.take()), queue.take()) == (MAX_BATCH, 5, [])


async def test_whoever_asked_may_leave() -> None:
    """The others are told all the same."""
    queue = WriteQueue(lambda: None)
    left, stays = queue.put(of_size(1)), queue.put(of_size(1))
    left.cancel()
    queue.settle(queue.take(), [Outcome(why="full"), Outcome()])
    await stays
    assert len(queue) == 0


async def test_reads_wait_for_what_was_handed_over_before() -> None:
    """Whatever becomes of it."""
    queue = WriteQueue(lambda: None)
    await queue.wait()
    queue.put(of_size(1))
    reading = asyncio.create_task(queue.wait())
    await asyncio.sleep(0)
    assert not reading.done()
    queue.settle(queue.take(), [Outcome(why="full")])
    await reading


async def test_at_the_end_nothing_waits_any_more() -> None:
    """What nobody has taken fails, and so does what comes later."""
    queue = WriteQueue(lambda: None)
    before = queue.put(of_size(1))
    queue.close()
    later = queue.put(of_size(1, "v"))
    queue.give_up()
    for future in (before, later):
        assert "(the server stops)" in str(future.exception())
    assert len(queue) == 0
