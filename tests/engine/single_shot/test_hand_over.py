"""What threads and coroutines hand to each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.single_shot.hand_over import Job, begin, raisable, run_all


def test_a_job_is_handed_over_with_what_the_executor_gives_for_it() -> None:
    """As a future, say."""
    assert begin(lambda job: job() + 1, lambda: 1) == 2


def test_a_job_that_could_not_begin_never_runs() -> None:
    """Also where the executor has kept it."""
    kept: list[Callable[[], int]] = []

    def keep_and_fail(job: Callable[[], int]) -> None:
        kept.append(job)
        raise RuntimeError("can't start new thread")

    with pytest.raises(RuntimeError, match="new thread"):
        begin(keep_and_fail, lambda: 1)
    with pytest.raises(RuntimeError, match="given up"):
        kept[0]()


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(3), KeyboardInterrupt()])
def test_what_no_future_or_loop_bears_is_wrapped(error: BaseException) -> None:
    """With its name, and as the cause."""
    told = raisable(error, "the model")
    assert isinstance(told, RuntimeError)
    assert str(told) == f"the model raised {type(error).__name__}"
    assert told.__cause__ is error


def test_any_other_error_is_raised_as_it_is() -> None:
    """Callers may catch it by its class."""
    error = KeyError("x")
    assert raisable(error, "the model") is error


def test_what_jobs_return_is_done_after_them() -> None:
    """In order, and however long the chain is."""
    done: list[int] = []

    def job(number: int) -> list[Job] | None:
        done.append(number)
        return [lambda: job(number + 1)] if number < 5_000 else None

    run_all([lambda: job(0)])
    assert done == list(range(5_001))
