"""Single requests, computed together; nobody pays for another's fault or leaving."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Sequence

import pytest

from engine.errors import Closed, QueueFull
from engine.single_shot.dynamic_batcher import DynamicBatcher
from tests.engine.single_shot.jobs import Jobs


class Batches:
    """Doubles numbers except negative ones; remembers its batches. Jobs run when told, or later."""

    def __init__(self, max_batch_size: int = 4, max_wait_s: float = 1.0, waiting: int = 8) -> None:
        self.calls: list[list[int]] = []
        self.jobs = Jobs()
        self.batcher = DynamicBatcher(
            self.double,
            max_batch_size=max_batch_size,
            max_wait_s=max_wait_s,
            max_waiting=waiting,
            run_later=self.jobs,
        )

    def double(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        if any(item < 0 for item in items):
            raise ValueError(f"{min(items)} is negative")
        return [2 * item for item in items]

    def submit(self, *items: int) -> list[asyncio.Task[int]]:
        return [asyncio.create_task(self.batcher.submit(item)) for item in items]

    async def turn(self) -> None:
        """Run what is to run, and let everybody hear of it."""
        for _ in range(4):
            await asyncio.sleep(0)
            self.jobs.run()
        for _ in range(4):
            await asyncio.sleep(0)
        self.batcher.check_integrity()


async def test_a_full_batch_runs_at_once() -> None:
    """In one call, results to whom they belong."""
    batches = Batches()
    tasks = batches.submit(1, 2, 3, 4)
    await batches.turn()
    assert [task.result() for task in tasks] == [2, 4, 6, 8]
    assert batches.calls == [[1, 2, 3, 4]]
    assert asyncio.get_running_loop().time() == 0


async def test_a_partial_batch_runs_after_the_wait() -> None:
    """Counted from its first item."""
    batches = Batches(max_wait_s=1.0)
    batches.submit(1)
    await asyncio.sleep(0.6)
    batches.submit(2)
    await asyncio.sleep(0.3)
    assert not batches.jobs.waiting
    await asyncio.sleep(0.2)
    await batches.turn()
    assert batches.calls == [[1, 2]]


async def test_what_comes_while_a_batch_runs_is_in_the_next() -> None:
    """One batch at a time."""
    batches = Batches(max_batch_size=2)
    batches.submit(1, 2)
    await asyncio.sleep(0)
    later = batches.submit(3, 4)
    await asyncio.sleep(0)
    assert len(batches.jobs.waiting) == 1
    await batches.turn()
    await batches.turn()
    assert batches.calls == [[1, 2], [3, 4]]
    assert [task.result() for task in later] == [6, 8]


async def test_a_failing_item_fails_alone() -> None:
    """Its batch-mates have their results, it has its own error."""
    batches = Batches()
    tasks = batches.submit(1, -2, 3, -4)
    await batches.turn()
    assert (tasks[0].result(), tasks[2].result()) == (2, 6)
    assert str(tasks[1].exception()) == "-2 is negative"
    assert str(tasks[3].exception()) == "-4 is negative"


async def test_a_full_queue_refuses() -> None:
    """With a stable code; what waits is not touched."""
    batches = Batches(max_batch_size=2, waiting=2)
    batches.submit(1, 2)
    await asyncio.sleep(0)
    tasks = batches.submit(3, 4)
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as caught:
        await batches.batcher.submit(5)
    assert caught.value.code == "queue_full"
    await batches.turn()
    await batches.turn()
    assert [task.result() for task in tasks] == [6, 8]


async def test_a_cancelled_item_leaves_before_its_batch_runs() -> None:
    """It is never computed, and its place in the queue is free."""
    batches = Batches()
    leaving, staying = batches.submit(1, 2)
    await asyncio.sleep(0.5)
    leaving.cancel()
    await asyncio.sleep(1.0)
    await batches.turn()
    assert batches.calls == [[2]]
    assert staying.result() == 4


async def test_an_item_cancelled_in_a_batch_that_has_not_begun_to_compute_is_left_out() -> None:
    """The thread asks before it computes."""
    batches = Batches(max_batch_size=2)
    leaving, staying = batches.submit(1, 2)
    await asyncio.sleep(0)
    leaving.cancel()
    await batches.turn()
    assert batches.calls == [[2]]
    assert staying.result() == 4


async def test_a_result_nobody_waits_for_is_dropped() -> None:
    """Cancelled while it is computed; the others have theirs."""
    batches = Batches(max_batch_size=2)
    leaving, staying = batches.submit(1, 2)
    await asyncio.sleep(0)
    batches.jobs.run()
    leaving.cancel()
    await batches.turn()
    assert leaving.cancelled()
    assert staying.result() == 4
    assert batches.calls == [[1, 2]]


async def test_closing_ends_what_waits_and_waits_for_what_runs() -> None:
    """Who waits hears it at once; who is being computed gets a result."""
    batches = Batches(max_batch_size=2)
    running = batches.submit(1, 2)
    await asyncio.sleep(0)
    (waiting,) = batches.submit(3)
    await asyncio.sleep(0)
    closing = asyncio.create_task(batches.batcher.aclose())
    with pytest.raises(Closed):
        await waiting
    with pytest.raises(Closed):
        await batches.batcher.submit(4)
    assert not closing.done()
    await batches.turn()
    await closing
    assert [task.result() for task in running] == [2, 4]


async def test_a_function_that_would_end_the_program_fails_its_items() -> None:
    """The loop and the batcher go on."""

    def leave(_: Sequence[int]) -> list[int]:
        raise SystemExit

    jobs = Jobs()
    batcher = DynamicBatcher(leave, max_batch_size=2, max_wait_s=0, run_later=jobs)
    task = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    jobs.run()
    with pytest.raises(RuntimeError, match="SystemExit"):
        await task


async def test_batches_run_in_a_thread_of_their_own() -> None:
    """The loop is free meanwhile."""

    def name(items: Sequence[int]) -> list[str]:
        return [threading.current_thread().name for _ in items]

    batcher = DynamicBatcher(name, max_batch_size=1, max_wait_s=0)
    assert (await batcher.submit(1)).startswith("kaiwa-batch")
    await batcher.aclose()


@pytest.mark.parametrize("seed", range(12))
async def test_random_histories_answer_each_item_once(seed: int) -> None:
    """Items come, fail, are cancelled at any await; each ends in its own result or error."""
    dice = random.Random(seed)
    batches = Batches(dice.randint(1, 4), dice.choice([0.0, 0.5, 2.0]))
    tasks: list[tuple[int, asyncio.Task[int]]] = []
    for number in range(1, 120):
        event = dice.choice(["put", "put", "cancel", "jobs", "turn", "pass"])
        if event == "put":
            item = -number if dice.random() < 0.2 else number
            tasks.append((item, batches.submit(item)[0]))
        elif event == "cancel" and tasks:
            dice.choice(tasks)[1].cancel()
        elif event == "jobs":
            batches.jobs.run()
        elif event == "turn":
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(dice.random())
        batches.batcher.check_integrity()
    closing = asyncio.create_task(batches.batcher.aclose())
    await batches.turn()
    await closing
    for item, task in tasks:
        if item > 0:
            with contextlib.suppress(asyncio.CancelledError, QueueFull, Closed):
                assert await task == 2 * item
        else:
            ends = (asyncio.CancelledError, QueueFull, Closed, ValueError)
            with pytest.raises(ends, match=rf"^({item} is negative|)$|waiting|closed"):
                await task
    computed = [item for call in batches.calls for item in call if item > 0]
    assert len(set(computed)) <= len(tasks)
    batches.batcher.check_integrity()


async def test_a_batch_that_no_thread_can_begin_ends_and_so_does_the_next() -> None:
    """With that error, and the batcher can be closed."""

    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    batcher: DynamicBatcher[int, int]
    batcher = DynamicBatcher(list[int], max_batch_size=2, max_wait_s=1.0, run_later=start)
    for _ in range(2):
        tasks = [asyncio.create_task(batcher.submit(item)) for item in (1, 2)]
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(error) for error in told] == ["can't start new thread"] * 2
        batcher.check_integrity()
    await batcher.aclose()
