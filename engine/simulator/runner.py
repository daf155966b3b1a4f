"""A runner that computes nothing but how long it would have taken.

Steps last what a cost model says, with some noise if wanted; each reply ends by its end token
when it has reached a length that nobody but the runner knows.
"""

from __future__ import annotations

import random
import zlib
from collections import deque
from collections.abc import Iterable, Sequence

from engine.cost_model import StepCostModel, StepShape
from engine.outputs import ModelRunnerOutput, SampledToken, StepPlan

EOS_TOKEN_ID = 1
FIRST_ORDINARY_ID = 16


class VirtualClock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


class SimulatedRunner:
    """Takes the place of the model.

    Args:
        cost: How long a step of each shape takes; never changed.
        clock: Moved on by each step.
        vocab_size: Tokens are drawn below it.
        jitter: Standard deviation of the logarithm of each step's time.
        noise: Factors on steps' times to draw from instead, as they were measured somewhere.
        seed: Of the jitter.
    """

    def __init__(
        self,
        cost: StepCostModel,
        clock: VirtualClock,
        *,
        vocab_size: int,
        jitter: float = 0.0,
        noise: Sequence[float] = (),
        seed: int = 0,
    ) -> None:
        self._cost = cost
        self._clock = clock
        self._num_ordinary = vocab_size - FIRST_ORDINARY_ID
        self._jitter = jitter
        self._noise = noise
        self._dice = random.Random(seed)
        self._lengths: dict[str, int | None] = {}
        self._reached: dict[str, int] = {}
        self.num_computed_tokens = 0
        self.num_recomputed_tokens = 0
        self.last_plan: StepPlan | None = None
        self._slots: dict[int, str] = {}
        self._positions: dict[int, int] = {}
        self._prompts: dict[int, int] = {}
        self._busy_until = 0.0
        self._in_flight: deque[tuple[float, ModelRunnerOutput, StepPlan]] = deque()

    def expect(self, request_id: str, num_tokens: int | None) -> None:
        """Let a request's reply end by itself with its ``num_tokens``-th token, or never."""
        self._lengths[request_id] = num_tokens

    def forget(self, request_ids: Iterable[str]) -> None:
        """Drop what is kept of requests that have ended."""
        for request_id in request_ids:
            self._lengths.pop(request_id, None)
            self._reached.pop(request_id, None)

    def launch(self, plan: StepPlan) -> None:
        """Begin a step behind those that are under way; it ends in its own time."""
        for load in plan.loads:
            self._slots[load.slot] = load.request_id
            self._positions[load.slot] = load.num_computed_tokens
            self._prompts[load.slot] = load.num_prompt_tokens
        sampled: dict[int, SampledToken] = {}
        for slot in plan.decodes:
            self._compute(slot, 1)
            sampled[slot] = SampledToken(self._next_token(slot))
        for chunk in plan.chunks:
            self._compute(chunk.slot, chunk.num_tokens)
            if chunk.samples:
                sampled[chunk.slot] = SampledToken(self._next_token(chunk.slot))
        self._busy_until = max(self._busy_until, self._clock.now) + self._duration(plan.shape)
        self._in_flight.append((self._busy_until, ModelRunnerOutput(sampled), plan))

    def collect(self) -> ModelRunnerOutput:
        """Wait for the oldest step under way, which moves the clock on."""
        ends_at, output, plan = self._in_flight.popleft()
        self._clock.now = max(self._clock.now, ends_at)
        self.last_plan = plan
        return output

    def _compute(self, slot: int, num_tokens: int) -> None:
        request_id, start = self._slots[slot], self._positions[slot]
        end = self._positions[slot] = start + num_tokens
        reached = self._reached.get(request_id, 0)
        if reached > start:
            self.num_recomputed_tokens += min(reached, end) - start
        self._reached[request_id] = max(reached, end)
        self.num_computed_tokens += num_tokens

    def _duration(self, shape: StepShape) -> float:
        seconds = self._cost.predict(shape)
        if self._noise:
            return seconds * self._dice.choice(self._noise)
        return seconds * self._dice.lognormvariate(0.0, self._jitter) if self._jitter else seconds

    def _next_token(self, slot: int) -> int:
        """Draw by position, as seeded noise does: what is sampled again is the same again."""
        request_id, position = self._slots[slot], self._positions[slot]
        if position - self._prompts[slot] + 1 == self._lengths.get(request_id):
            return EOS_TOKEN_ID
        name = zlib.crc32(request_id.encode())
        return FIRST_ORDINARY_ID + (name + 40503 * position) % self._num_ordinary
