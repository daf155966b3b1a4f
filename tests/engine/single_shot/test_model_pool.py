"""Instances lent to coroutines and threads; none is lost, whoever is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
from collections.abc import Callable

import pytest

from engine.errors import Closed, ModelError, QueueFull, WaitTimedOut
from engine.single_shot.model_pool import ModelPool
from tests.engine.single_shot.jobs import Jobs


def at_once(job: Callable[[], None]) -> None:
    """Run a job where it is asked for."""
    job()


def numbered_pool(max_instances: int = 1, max_waiting: int = 8) -> ModelPool[int]:
    """A pool whose instances are 0, 1, 2 and so on."""
    numbers = itertools.count()
    return ModelPool(
        lambda: next(numbers),
        max_instances=max_instances,
        max_waiting=max_waiting,
        run_later=at_once,
    )


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(8):
        await asyncio.sleep(0)


async def test_instances_are_made_when_needed_and_used_again() -> None:
    """Two at once need two, one after the other one."""
    pool = numbered_pool(2)
    assert pool.num_instances == 0
    async with pool.checkout() as first, pool.checkout() as second:
        assert (first.instance, second.instance) == (0, 1)
    async with pool.checkout():
        assert pool.num_instances == 2
    pool.check_integrity()


async def test_waiters_are_served_in_order() -> None:
    """The line is first come, first served."""
    pool = numbered_pool()
    served: list[int] = []

    async def use(number: int) -> None:
        async with pool.checkout():
            served.append(number)
            await asyncio.sleep(1)

    await asyncio.gather(*(use(number) for number in range(5)))
    assert served == [0, 1, 2, 3, 4]


async def test_a_line_at_its_bound_refuses() -> None:
    """With a stable code, and nobody in line notices."""
    pool = numbered_pool(max_waiting=1)
    async with pool.checkout():
        waiter = asyncio.create_task(pool.run(str))
        await settle()
        with pytest.raises(QueueFull) as caught:
            await pool.run(str)
        assert caught.value.code == "queue_full"
    assert await waiter == "0"


async def test_a_wait_ends_in_time() -> None:
    """The error says how long it was; the line is empty afterwards."""
    pool = numbered_pool()
    async with pool.checkout():
        with pytest.raises(WaitTimedOut, match=r"within 2.5 s"):
            async with pool.checkout(timeout_s=2.5):
                raise AssertionError
        assert asyncio.get_running_loop().time() == pytest.approx(2.5)
        assert pool.num_waiting == 0
        pool.check_integrity()


async def test_an_instance_that_comes_at_the_last_moment_is_taken() -> None:
    """Granted in the very moment in which the wait ends, it is no time-out."""
    pool = numbered_pool()
    async with pool.checkout(timeout_s=0) as lease:
        assert lease.instance == 0


async def test_a_discarded_instance_is_replaced() -> None:
    """It goes to `dispose`, and who waits gets a new one."""
    gone: list[int] = []
    numbers = itertools.count()
    pool = ModelPool(lambda: next(numbers), max_instances=1, dispose=gone.append, run_later=at_once)
    async with pool.checkout() as lease:
        waiter = asyncio.create_task(pool.run(str))
        await settle()
        lease.discard()
    assert await waiter == "1"
    assert gone == [0]
    pool.check_integrity()


async def test_an_error_in_a_call_may_discard_the_instance() -> None:
    """Only for the errors that were named."""
    pool = numbered_pool()

    def fail(_: int) -> None:
        raise ZeroDivisionError

    for discard_on, instance in ((), "0"), ((ArithmeticError,), "1"):
        with pytest.raises(ZeroDivisionError):
            await pool.run(fail, discard_on=discard_on)
        assert await pool.run(str) == instance


async def test_a_factory_that_fails_is_told_to_who_waits_and_tried_again() -> None:
    """One wait per failure; the pool goes on."""
    jobs, failures = Jobs(), [OSError("no disk")]

    def make() -> str:
        if failures:
            raise failures.pop()
        return "model"

    pool = ModelPool(make, max_instances=1, run_later=jobs)
    first, second = (asyncio.create_task(pool.run(str)) for _ in range(2))
    await settle()
    jobs.run()
    with pytest.raises(ModelError, match="no disk"):
        await first
    assert await second == "model"
    pool.check_integrity()


async def test_a_cancelled_wait_loses_no_instance() -> None:
    """Cancelled before, in, and after the moment in which it is granted."""
    for num_rounds in range(6):
        pool = numbered_pool()
        async with pool.checkout():
            waiter = asyncio.create_task(pool.run(str))
            await settle()
        for _ in range(num_rounds):
            await asyncio.sleep(0)
        waiter.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiter
        pool.check_integrity()
        assert await pool.run(str) == "0"


async def test_a_cancelled_wait_for_a_new_instance_leaves_it_to_others() -> None:
    """What is being made is made, and goes to the next who asks."""
    jobs = Jobs()
    pool = ModelPool(lambda: "model", max_instances=1, run_later=jobs)
    waiter = asyncio.create_task(pool.run(str))
    await settle()
    waiter.cancel()
    await settle()
    jobs.run()
    assert (pool.num_instances, pool.num_waiting) == (1, 0)
    assert await pool.run(str) == "model"


async def test_a_cancelled_call_keeps_its_instance_until_it_returns() -> None:
    """A thread cannot be called off, so nobody else may have the instance yet."""
    pool = numbered_pool()
    began, may_end = threading.Event(), threading.Event()

    def call(_: int) -> None:
        began.set()
        may_end.wait(10)

    task = asyncio.create_task(pool.run(call))
    await asyncio.to_thread(began.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(WaitTimedOut):
        await pool.run(str, timeout_s=1)
    may_end.set()
    assert await pool.run(str) == "0"


async def test_closing_ends_waits_and_drains() -> None:
    """Who waits hears of it at once; closing returns when the last lease is back."""
    gone: list[str] = []
    pool = ModelPool(lambda: "model", max_instances=1, dispose=gone.append, run_later=at_once)
    async with pool.checkout():
        waiter = asyncio.create_task(pool.run(str))
        await settle()
        closing = asyncio.create_task(pool.aclose())
        with pytest.raises(Closed):
            await waiter
        with pytest.raises(Closed):
            await pool.run(str)
        assert not closing.done()
    await closing
    await pool.aclose()
    assert (gone, pool.num_instances) == (["model"], 0)
    pool.check_integrity()


def test_threads_share_the_same_pool() -> None:
    """No instance is ever in two hands, and all come back."""
    pool = ModelPool(list[int], max_instances=2, max_waiting=64)
    problems: list[str] = []

    def work() -> None:
        for _ in range(50):
            with pool.checkout_blocking() as lease:
                lease.instance.append(1)
                if len(lease.instance) != 1:
                    problems.append("two hands")
                lease.instance.clear()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.check_integrity()
    assert (problems, pool.num_instances <= 2) == ([], True)
    pool.close()
    with pytest.raises(Closed), pool.checkout_blocking():
        raise AssertionError


def test_a_thread_waits_no_longer_than_it_says() -> None:
    """With the same error as a coroutine."""
    pool = numbered_pool()
    with (
        pool.checkout_blocking(),
        pytest.raises(WaitTimedOut),
        pool.checkout_blocking(timeout_s=0),
    ):
        raise AssertionError
    pool.check_integrity()


async def test_a_failing_dispose_harms_nobody() -> None:
    """The instance is gone either way."""

    def dispose(_: str) -> None:
        raise OSError

    pool = ModelPool(lambda: "model", max_instances=1, dispose=dispose, run_later=at_once)
    await pool.run(str)
    await pool.aclose()
    assert pool.num_instances == 0


@pytest.mark.parametrize("seed", range(12))
async def test_random_histories_lose_no_instance(seed: int) -> None:
    """Users come, are cancelled at any await, time out, discard; all ends, all comes back."""
    dice = random.Random(seed)
    jobs = Jobs()
    made, gone = itertools.count(), list[int]()

    def make() -> int:
        if dice.random() < 0.2:
            raise OSError("no")
        return next(made)

    pool = ModelPool(
        make,
        max_instances=dice.randint(1, 3),
        max_waiting=dice.randint(0, 3),
        dispose=gone.append,
        run_later=jobs,
    )
    in_use: set[int] = set()

    async def use(hold_s: float, timeout_s: float | None, spoil: bool) -> None:
        with contextlib.suppress(QueueFull, WaitTimedOut, ModelError, Closed):
            async with pool.checkout(timeout_s) as lease:
                assert lease.instance not in in_use
                in_use.add(lease.instance)
                try:
                    await asyncio.sleep(hold_s)
                finally:
                    in_use.discard(lease.instance)
                    if spoil:
                        lease.discard()

    tasks: list[asyncio.Task[None]] = []
    for _ in range(120):
        event = dice.choice(["use", "use", "cancel", "jobs", "turn", "pass"])
        if event == "use":
            timeout_s = dice.choice([None, 0.0, 1.0])
            call = use(dice.choice([0.0, 0.5, 2.0]), timeout_s, dice.random() < 0.2)
            tasks.append(asyncio.create_task(call))
        elif event == "cancel" and tasks:
            dice.choice(tasks).cancel()
        elif event == "jobs":
            jobs.run()
        elif event == "turn":
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(dice.random())
        pool.check_integrity()
    closing = asyncio.create_task(pool.aclose())
    await settle()
    jobs.run()
    await asyncio.gather(*tasks, closing, return_exceptions=True)
    assert all(task.cancelled() or task.exception() is None for task in tasks)
    assert sorted(gone) == list(range(next(made)))
    pool.check_integrity()


@pytest.mark.parametrize("error", [StopIteration, SystemExit])
async def test_a_call_that_would_end_a_thread_or_a_loop_is_told_as_an_error(
    error: type[BaseException],
) -> None:
    """Its waiter neither waits for ever nor ends the process; discarding goes by what it was."""
    pool = numbered_pool()

    def call(_: int) -> None:
        raise error

    with pytest.raises(RuntimeError, match=f"raised {error.__name__}"):
        await pool.run(call, discard_on=(error,))
    assert await pool.run(str) == "1"


async def test_every_wait_ends_where_no_thread_can_be_started() -> None:
    """Each hears of it by itself, however many wait, and the pool can be closed."""

    def start(_: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    pool = ModelPool(lambda: "model", max_instances=1, max_waiting=8, run_later=start)
    for _ in range(2):
        with pytest.raises(ModelError, match="can't start new thread"):
            await pool.run(str)
        pool.check_integrity()
    await pool.aclose()


async def test_a_thread_that_cannot_be_started_ends_a_long_line() -> None:
    """Without the depth of the line on the stack."""
    jobs, works = Jobs(), True

    def run_later(job: Callable[[], None]) -> None:
        if not works:
            raise RuntimeError("can't start new thread")
        jobs(job)

    def make() -> str:
        raise OSError("no disk")

    pool = ModelPool(make, max_instances=1, max_waiting=400, run_later=run_later)
    line = [asyncio.create_task(pool.run(str)) for _ in range(400)]
    await settle()
    works = False
    jobs.run()
    told = await asyncio.gather(*line, return_exceptions=True)
    assert {type(error) for error in told} == {ModelError}
    pool.check_integrity()
