"""The step: schedule, execute, update. No thread, no socket and no clock of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from engine.config import BLOCK_SIZE, EngineConfig
from engine.errors import InvalidParameter, RequestError, StepFailed
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import (
    EngineInfo,
    ModelRunnerOutput,
    ScheduledSequence,
    SchedulerOutput,
    StepFrame,
    StepStats,
    TokenOutput,
)
from engine.request import EngineRequest, FinishReason, RequestUpdate
from engine.scheduler import Scheduler

logger = logging.getLogger(__name__)

MAX_FAILED_STEPS = 3
"""So many failures in a row are not the requests' fault: the device is broken."""


class ModelRunner(Protocol):
    """What computes a planned step."""

    def execute(self, plan: SchedulerOutput) -> ModelRunnerOutput:
        """Copy blocks, compute all new tokens, sample where asked.

        Returns:
            A sampled token or a failure for every sequence of the plan that samples.
        """
        ...


class EngineCore:
    """Scheduler and runner, driven from outside one step at a time.

    Args:
        info: What to say of the engine; its limits are the scheduler's.
        config: Limits and cache settings.
        runner: Computes the steps.
        clock: Seconds, rising; only differences are used.
    """

    def __init__(
        self,
        info: EngineInfo,
        config: EngineConfig,
        runner: ModelRunner,
        clock: Callable[[], float],
    ) -> None:
        self.info = info
        self.scheduler = Scheduler(
            config.scheduler,
            KVCacheManager(
                info.num_blocks,
                block_size=BLOCK_SIZE,
                enable_prefix_caching=config.cache.enable_prefix_caching,
            ),
            max_model_len=info.max_model_len,
            eos_token_ids=info.eos_token_ids,
        )
        self._runner = runner
        self._clock = clock
        self._num_steps = 0
        self._num_failed_in_a_row = 0

    @property
    def is_broken(self) -> bool:
        """Whether steps fail whatever is in them; the engine should be given up."""
        return self._num_failed_in_a_row >= MAX_FAILED_STEPS

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return self.scheduler.has_work

    def submit(self, requests: Iterable[EngineRequest]) -> StepFrame:
        """Queue requests; those that are refused end at once, in the frame returned."""
        refused = []
        for request in requests:
            try:
                self.check(request)
                self.scheduler.add_request(request, self._clock())
            except RequestError as error:
                refused.append(_refusal(request, error))
        return StepFrame(refused)

    def check(self, request: EngineRequest) -> None:
        """Refuse what could never run here, whatever else is going on.

        Raises:
            RequestError: A token is unknown, or the request fits neither context nor budget.
        """
        for token_id in (min(request.prompt_token_ids, default=0), *_highest(request)):
            if not 0 <= token_id < self.info.vocab_size:
                expected = f"token ids of the vocabulary, 0 to {self.info.vocab_size - 1}"
                raise InvalidParameter("prompt", token_id, expected)
        request.params.check_vocabulary(self.info.vocab_size)
        self.scheduler.check_fits(request)

    def update(self, updates: Iterable[RequestUpdate]) -> StepFrame:
        """Take in news of live requests; what that ends is in the frame returned."""
        raise NotImplementedError

    def release(self, conversation_ids: Iterable[str]) -> None:
        """Keep the KV of these conversations no longer than any other."""
        raise NotImplementedError

    def cancel(self, request_ids: Iterable[str]) -> StepFrame:
        """Abort requests; unknown and finished ids are passed over."""
        started = self._clock()
        aborted = [self.scheduler.abort(request_id) for request_id in request_ids]
        outputs = [output for output in aborted if output is not None]
        if self.has_work or not outputs:
            return StepFrame(outputs)
        # No step will follow that could tell listeners that everything is free.
        return StepFrame(outputs, self._stats(SchedulerOutput([]), outputs, started))

    def step(self) -> StepFrame:
        """Compute one step for every sequence that is due.

        A step that fails ends the requests that were in it with ``error``; the others, and the
        engine, go on, unless it ``is_broken``.
        """
        started = self._clock()
        plan = self.scheduler.schedule(started)
        try:
            output = self._runner.execute(plan) if plan.sequences else ModelRunnerOutput({})
        except Exception:
            self._num_failed_in_a_row += 1
            logger.exception(
                "step %d failed with %d sequences", self._num_steps, len(plan.sequences)
            )
            results = self._fail_all(plan)
        else:
            self._num_failed_in_a_row = 0
            results = self.scheduler.update_from_output(plan, output)
        self._num_steps += 1
        return StepFrame(results, self._stats(plan, results, started))

    def _fail_all(self, plan: SchedulerOutput) -> list[TokenOutput]:
        # Nothing a failed step wrote may be shared, so the cache is emptied too.
        error = StepFailed("the engine could not compute this step; try again")
        ended = [self.scheduler.fail(s.request.request_id, error) for s in plan.sequences]
        self.scheduler.kv_cache.reset_prefix_cache()
        return [output for output in ended if output is not None]

    def _stats(
        self, plan: SchedulerOutput, results: list[TokenOutput], started: float
    ) -> StepStats:
        now = self._clock()
        batch = [(s.request.request_id, _kind(s), s.num_tokens) for s in plan.sequences]
        kv_cache = self.scheduler.kv_cache
        ended = [r.request_id for r in results if r.finish_reason is not None]
        return StepStats(
            step=self._num_steps,
            time_s=now,
            duration_s=now - started,
            num_running=self.scheduler.num_running,
            num_waiting=self.scheduler.num_waiting,
            prefill_tokens=sum(count for _, kind, count in batch if kind == "prefill"),
            decode_tokens=sum(count for _, kind, count in batch if kind == "decode"),
            joined=plan.joined,
            left=[*plan.preempted, *ended],
            kv_blocks_used=kv_cache.num_used_blocks,
            kv_blocks_cached=kv_cache.num_cached_blocks,
            kv_blocks_total=kv_cache.num_blocks,
            batch=batch,
            num_preempted=len(plan.preempted),
        )


def _kind(sequence: ScheduledSequence) -> str:
    past_prompt = sequence.start >= sequence.request.num_prompt_tokens
    return "decode" if past_prompt and sequence.num_tokens == 1 else "prefill"


def _highest(request: EngineRequest) -> list[int]:
    return [max(request.prompt_token_ids)] if request.prompt_token_ids else []


def _refusal(request: EngineRequest, error: RequestError) -> TokenOutput:
    return TokenOutput(
        request_id=request.request_id,
        token_ids=[],
        finish_reason=FinishReason.ERROR,
        num_prompt_tokens=len(request.prompt_token_ids),
        error_code=error.code,
        error_message=error.message,
        error_param=error.param,
    )
