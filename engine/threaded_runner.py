"""Runs steps in a thread of its own, so that the next is planned while one is computed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from engine.core import ModelRunner
from engine.outputs import ModelRunnerOutput, StepPlan


class ThreadedRunner:
    """A runner whose ``launch`` returns at once.

    Steps are computed one after the other, in the order in which they were launched. What a step
    raises is raised by its ``collect``, and so it is for every step that was launched after it and
    before that: they would compute on what it left behind.
    """

    def __init__(self, runner: ModelRunner, *, prepare: Callable[[], None] | None = None) -> None:
        """Start the thread.

        Args:
            runner: Belongs to the thread from here on.
            prepare: Called in the thread first; some settings of torch are the thread's own.
        """
        self._runner = runner
        self._prepare = prepare
        self._plans: queue.SimpleQueue[StepPlan | None] = queue.SimpleQueue()
        self._outputs: queue.SimpleQueue[ModelRunnerOutput | Exception] = queue.SimpleQueue()
        self._num_doomed = 0
        self._num_launched = 0
        self._thread = threading.Thread(target=self._run, name="kaiwa-steps", daemon=True)
        self._thread.start()

    def launch(self, plan: StepPlan) -> None:
        """Hand a step to the thread."""
        self._num_launched += 1
        self._plans.put(plan)

    def collect(self) -> ModelRunnerOutput:
        """Wait for the step that was launched first.

        Raises:
            Exception: What computing it, or one before it, raised.
        """
        output = self._outputs.get()
        self._num_launched -= 1
        if self._num_doomed:
            self._num_doomed -= 1
            raise RuntimeError("a step before this one failed")
        if isinstance(output, Exception):
            self._num_doomed = self._num_launched
            raise output
        return output

    def close(self) -> None:
        """End the thread, once it has computed what it was given."""
        self._plans.put(None)
        self._thread.join()

    def _run(self) -> None:
        if self._prepare is not None:
            self._prepare()
        while (plan := self._plans.get()) is not None:
            try:
                self._runner.launch(plan)
                self._outputs.put(self._runner.collect())
            except Exception as error:
                self._outputs.put(error)
