"""Steps in a thread of their own."""

from __future__ import annotations

import threading

import pytest

from engine.outputs import ModelRunnerOutput, SampledToken, StepPlan
from engine.threaded_runner import ThreadedRunner


class Echo:
    """Answers each step with its number; waits where it is told to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.fails_at: int | None = None
        self._step = 0

    def launch(self, plan: StepPlan) -> None:
        """Compute at once."""
        self.gate.wait(10)
        self._step = plan.step

    def collect(self) -> ModelRunnerOutput:
        """Return the number, or fail."""
        if self._step == self.fails_at:
            raise ValueError("boom")
        return ModelRunnerOutput({0: SampledToken(self._step)})


def test_a_launch_does_not_wait_and_results_come_in_order() -> None:
    """Two steps are under way before the first is read."""
    echo = Echo()
    echo.gate.clear()
    runner = ThreadedRunner(echo)
    runner.launch(StepPlan(1))
    runner.launch(StepPlan(2))
    echo.gate.set()
    assert [runner.collect().sampled[0].token_id for _ in range(2)] == [1, 2]
    runner.close()


def test_a_failure_dooms_the_steps_that_build_on_it_and_no_others() -> None:
    """What was launched before the failure was known computed on what it left behind."""
    echo = Echo()
    echo.fails_at = 1
    echo.gate.clear()
    runner = ThreadedRunner(echo)
    runner.launch(StepPlan(1))
    runner.launch(StepPlan(2))
    echo.gate.set()
    with pytest.raises(ValueError, match="boom"):
        runner.collect()
    with pytest.raises(RuntimeError, match="before this one"):
        runner.collect()
    runner.launch(StepPlan(3))
    assert runner.collect().sampled[0].token_id == 3
    runner.close()


def test_the_thread_is_prepared_before_its_first_step() -> None:
    """Settings of torch belong to a thread."""
    prepared = []
    runner = ThreadedRunner(
        Echo(), prepare=lambda: prepared.append(threading.current_thread().name)
    )
    runner.launch(StepPlan(1))
    runner.collect()
    runner.close()
    assert prepared == ["kaiwa-steps"]
