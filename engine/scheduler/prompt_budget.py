"""How many milliseconds of a step belong to prompts, and whether first tokens are at risk."""

from __future__ import annotations

from engine.config import SchedulerConfig
from engine.cost_model import EMPTY_SHAPE, StepCostModel
from engine.request import Request
from engine.scheduler.batch import Batch
from engine.scheduler.pacer import MAX_STEP_S
from engine.scheduler.waiting import WaitingQueue

MIN_CHUNK = 16
"""Prompt tokens that a step computes however late it is, so that a first token always comes."""
MAX_STRETCH = 4.0
"""A first token that is late by a whole target stretches the steps to this many times theirs: from
the default of 50 ms to 200, at which somebody who reads five tokens per second is still served."""


class PromptBudget:
    """Divides a step between the streams that decode and the prompts that are read.

    Attributes:
        last_shape: Of the last step that was planned.
    """

    def __init__(
        self, config: SchedulerConfig, cost_model: StepCostModel, batch: Batch, queue: WaitingQueue
    ) -> None:
        self._config = config
        self._cost_model = cost_model
        self._batch = batch
        self._queue = queue
        self.last_shape = EMPTY_SHAPE

    @property
    def step_s(self) -> float:
        """What a step takes at present."""
        return self._cost_model.predict(self.last_shape)

    def num_tokens(
        self, num_rows: int, num_kv_tokens: int, now: float, *, spare_s: float | None
    ) -> int:
        """Return how many prompt tokens the coming step may compute.

        As many as fit into the target between two tokens. While first tokens are late, the target
        is stretched by how late they are: on an overloaded machine small chunks would only pay a
        step's fixed cost more often, and everybody would wait for longer.

        Args:
            num_rows: Streams that decode in it.
            num_kv_tokens: What they read.
            now: Seconds.
            spare_s: What all of them could spare; ``None`` where that is not asked.
        """
        most = self._config.max_num_batched_tokens - num_rows
        if self._config.policy == "fcfs" or not num_rows:
            return most
        lateness = min(1.0, self._lateness_s(now) / self._config.ttft_target_s)
        bound_s = self._config.itl_target_s * (1.0 + (MAX_STRETCH - 1.0) * lateness)
        if spare_s is not None:
            bound_s = max(bound_s, min(spare_s / 2, MAX_STEP_S))
        extending = self._batch.extending
        num_read = extending[0].num_tokens if extending else 0
        fitting = self._cost_model.max_new_tokens(num_rows, num_kv_tokens + num_read, bound_s)
        return min(most, max(fitting, MIN_CHUNK))

    def is_late(self, newcomer: Request | None, now: float) -> bool:
        """Whether a first token will be late if every stream decodes in every step.

        Args:
            newcomer: Who would join next; ``None`` where nobody can.
            now: Seconds.
        """
        due = [*self._batch.extending[:1], *filter(None, [newcomer])]
        if not due:
            return False
        missing = self._queue.num_tokens + sum(
            request.num_tokens - request.num_planned_tokens for request in self._batch.extending
        )
        # Prompts get about half of each step beside the decodes.
        per_token_s = 2.0 * self._cost_model.coefficients.per_new_token_s
        return now + self.step_s + missing * per_token_s > min(r.deadline for r in due)

    def _lateness_s(self, now: float) -> float:
        """By how much the first token that is due next is late."""
        due = [*self._batch.extending[:1], *filter(None, [self._queue.head()])]
        return max(0.0, now - min((request.deadline for request in due), default=now))
