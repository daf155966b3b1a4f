"""How many milliseconds of a step belong to prompts, and whether first tokens are at risk."""

from __future__ import annotations

from engine.config import SchedulerConfig
from engine.cost_model import EMPTY_SHAPE, StepCostModel, StepShape
from engine.request import Request
from engine.scheduler.batch import Batch
from engine.scheduler.pacer import MAX_STEP_S
from engine.scheduler.waiting import WaitingQueue

MIN_CHUNK = 16
"""Prompt tokens that a step computes however late it is, so that a first token always comes."""
SMOOTH = 1.4
"""A step with prompt tokens in it takes at most this many times as long as one without, unless
first tokens are at risk: nobody who listens notices who joins."""
HURRIED = 2.0
"""What that may become when they are at risk. Where more wait than stream it may be more still."""
MAX_STRETCH = 4.0
"""However many wait, they stretch a step no further than to this many times its target: from the
default of 50 ms to 200, at which somebody who reads five tokens per second is still served."""
PLANNED_SHARE = 0.85
"""Of the time until a first token is due, what reading its prompt is planned to take: steps may
last longer than predicted, and others come."""
_MEMORY = 0.1
"""Weight of the latest request in what is cached as a rule."""


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
        self._uncached_share = 1.0

    @property
    def step_s(self) -> float:
        """What a step takes at present."""
        return self._cost_model.predict(self.last_shape)

    def num_tokens(
        self, num_rows: int, num_kv_tokens: int, now: float, *, spare_s: float | None
    ) -> int:
        """Return how many prompt tokens the coming step may compute.

        So few that the step hardly takes longer than one without them, and stays within the target
        between two tokens. Where that is too little for the first tokens that are due, as many as
        those need, within a stretched step: the more wait for each that streams, the longer.

        Args:
            num_rows: Streams that decode in it.
            num_kv_tokens: What they read.
            now: Seconds.
            spare_s: What all of them could spare; ``None`` where that is not asked.
        """
        most = self._config.max_num_batched_tokens - num_rows
        if self._config.policy == "fcfs" or not num_rows:
            return most
        extending = self._batch.extending
        num_kv_tokens += extending[0].num_tokens if extending else 0
        without_s = self._cost_model.predict(StepShape(num_rows, 0, num_kv_tokens))
        bound_s, longest_s = self._bounds(num_rows, without_s, spare_s)
        fitting = self._cost_model.max_new_tokens(num_rows, num_kv_tokens, bound_s)
        needed = self._needed_tokens(without_s, now)
        if needed > fitting:
            longest = self._cost_model.max_new_tokens(num_rows, num_kv_tokens, longest_s)
            fitting = min(needed, longest)
        return min(most, max(fitting, MIN_CHUNK))

    def _bounds(
        self, num_rows: int, without_s: float, spare_s: float | None
    ) -> tuple[float, float]:
        """Return the seconds that a step may take, and those when first tokens are at risk.

        Args:
            num_rows: Streams that decode in it.
            without_s: What it takes without prompts.
            spare_s: As for ``num_tokens``.
        """
        target_s = self._config.itl_target_s
        stretched_s = MAX_STRETCH * target_s
        if spare_s is not None:
            # Listeners have some in hand: a step that lasts longer is not noticed.
            bound_s = max(target_s, min(spare_s / 2, MAX_STEP_S))
            return bound_s, max(bound_s, stretched_s)
        num_waiting = len(self._batch.extending) + len(self._queue)
        share_s = (1.0 + num_waiting / num_rows) * without_s
        return (
            min(SMOOTH * without_s, target_s),
            max(HURRIED * without_s, min(share_s, stretched_s)),
        )

    def joined(self, request: Request, num_cached: int) -> None:
        """Learn from a request that joins how much of a prompt is cached, as a rule."""
        share = 1.0 - num_cached / request.num_tokens
        self._uncached_share += _MEMORY * (share - self._uncached_share)

    def is_late(self, newcomer: Request | None, now: float) -> bool:
        """Whether a first token will be late if every stream decodes in every step.

        Args:
            newcomer: Who would join next; ``None`` where nobody can.
            now: Seconds.
        """
        due = [*self._batch.extending[:1], *filter(None, [newcomer])]
        if not due:
            return False
        missing = self._num_missing_tokens()
        # Prompts get about half of each step beside the decodes.
        per_token_s = 2.0 * self._cost_model.coefficients.per_new_token_s
        return now + self.step_s + missing * per_token_s > min(r.deadline for r in due)

    def _needed_tokens(self, without_s: float, now: float) -> int:
        """How many prompt tokens each step must read for the next first token to be in time.

        Everything that waits is to be read by then, since what waits behind the next is due soon
        after it: ``n`` a step, in steps of ``without_s + n * per_token_s``.

        Args:
            without_s: What a step takes without prompts.
            now: Seconds.
        """
        due = [*self._batch.extending[:1], *filter(None, [self._queue.head()])]
        if not due:
            return 0
        planned_at = min(
            r.arrival_time + PLANNED_SHARE * (r.deadline - r.arrival_time) for r in due
        )
        missing = self._num_missing_tokens()
        beside_s = planned_at - now - missing * self._cost_model.coefficients.per_new_token_s
        return int(missing * without_s / beside_s) if beside_s > 0 else missing

    def _num_missing_tokens(self) -> int:
        """What is left to read in the batch, and about as much as will have to be in the queue."""
        in_batch = sum(r.num_tokens - r.num_planned_tokens for r in self._batch.extending)
        return in_batch + int(self._uncached_share * self._queue.num_tokens)
