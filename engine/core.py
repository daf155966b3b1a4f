"""The step: schedule, launch, collect, update. No thread, no socket and no clock of its own.

With look-ahead a step is planned and launched before the one before it is collected, so that the
device never waits for the host. Without it, each step is collected as soon as it was launched.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from engine.config import BLOCK_SIZE, EngineConfig
from engine.cost_model import StepCostModel
from engine.errors import (
    DuplicateRequest,
    InvalidGrammar,
    InvalidParameter,
    RequestError,
    StepFailed,
)
from engine.grammar.gate import GrammarGate
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import EngineInfo, ModelRunnerOutput, StepFrame, StepPlan, TokenOutput
from engine.request import EngineRequest, FinishReason, RequestUpdate
from engine.sampling_params import SamplingParams
from engine.scheduler.outputs import refusal_of
from engine.scheduler.scheduler import Scheduler
from engine.step_stats import StepRecorder

logger = logging.getLogger(__name__)

MAX_FAILED_STEPS = 3
"""So many failures in a row are not the requests' fault: the device is broken."""

_PROCESS_IS_DONE = frozenset({"MemoryError", "OutOfMemoryError", "AcceleratorError"})
"""Names of what Python and torch raise when a process has no memory left, or a GPU that answers no
more: another process begins with both anew."""


class ModelRunner(Protocol):
    """What computes planned steps, in the order in which they are launched."""

    def launch(self, plan: StepPlan) -> None:
        """Begin to copy blocks, compute all new tokens and sample where asked."""
        ...

    def collect(self) -> ModelRunnerOutput:
        """Wait for the step that was launched first.

        Returns:
            A sampled token or a failure for every slot of the plan that samples.
        """
        ...


class EngineCore:
    """Scheduler and runner, driven from outside one step at a time.

    Args:
        info: What to say of the engine; its limits are the scheduler's.
        config: Limits and cache settings.
        runner: Computes the steps.
        clock: Seconds, rising; only differences are used.
        cost_model: Predicts steps; learns from every step that is measured here.
        gate: Where requests wait for their grammars; without it, grammars are refused.
        looks_ahead: Whether a step is launched before the one before it is collected; ``None``
            takes what the configuration says, and no where it says nothing.
        num_host_slots: Blocks of host memory beside the device's; the runner has as many.

    Attributes:
        is_replaceable: Somebody starts another core and goes on with its requests when this one
            says that it is broken. Then a step that fails for want of memory or device does not
            end those who were in it.
    """

    def __init__(
        self,
        info: EngineInfo,
        config: EngineConfig,
        runner: ModelRunner,
        clock: Callable[[], float],
        *,
        cost_model: StepCostModel | None = None,
        gate: GrammarGate | None = None,
        looks_ahead: bool | None = None,
        num_host_slots: int = 0,
    ) -> None:
        self.info = info
        self.scheduler = Scheduler(
            config.scheduler,
            KVCacheManager(
                info.num_blocks,
                block_size=BLOCK_SIZE,
                enable_prefix_caching=config.cache.enable_prefix_caching,
                pinned_share=config.cache.pinned_share,
                num_host_slots=num_host_slots,
            ),
            max_model_len=info.max_model_len,
            eos_token_ids=info.eos_token_ids,
            cost_model=cost_model,
        )
        self.gate = gate
        self._runner = runner
        self._clock = clock
        if looks_ahead is None:
            looks_ahead = bool(config.scheduler.look_ahead)
        self._depth = int(looks_ahead)
        self._in_flight: deque[StepPlan] = deque()
        self._recorder = StepRecorder(self.scheduler)
        self._last_ended = 0.0
        self._num_failed_in_a_row = 0
        self._is_done = False
        self.is_replaceable = False

    @property
    def is_broken(self) -> bool:
        """Whether steps fail whatever is in them; the engine should be given up."""
        return self._is_done or self._num_failed_in_a_row >= MAX_FAILED_STEPS

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return self.scheduler.has_work or (self.gate is not None and self.gate.has_ready)

    def submit(self, requests: Iterable[EngineRequest]) -> StepFrame:
        """Queue requests; those that are refused end at once, in the frame returned.

        Those whose grammar has yet to be compiled are queued by the first step after that.
        """
        refused = []
        for request in requests:
            try:
                self.check(request)
                if self.gate is not None and request.request_id in self.gate:
                    raise DuplicateRequest(request.request_id)
                if self._may_pass(request):
                    self.scheduler.add_request(request, self._clock())
            except RequestError as error:
                refused.append(refusal_of(request, error))
        return StepFrame(refused)

    def check(self, request: EngineRequest) -> None:
        """Refuse what could never run here, whatever else is going on.

        Raises:
            RequestError: A token is unknown, the request fits neither context nor budget, or it
                has a grammar and this engine follows none.
        """
        self._check_tokens(request.prompt_token_ids)
        self._check_tokens(request.output_token_ids)
        request.params.check_vocabulary(self.info.vocab_size)
        self._check_grammar(request)
        self.scheduler.check_fits(request)

    def compile(self, params: SamplingParams) -> None:
        """Compile a request's grammar here and now, so that it need not wait later.

        Raises:
            InvalidGrammar: It cannot be compiled.
        """
        if self.gate is not None and params.grammar is not None:
            self.gate.compile(params.grammar)

    def update(self, updates: Iterable[RequestUpdate]) -> StepFrame:
        """Take in news of live requests; what that ends is in the frame returned."""
        outputs = []
        for update in updates:
            try:
                self._check_tokens(update.token_ids)
                if update.params is not None:
                    update.params.check_vocabulary(self.info.vocab_size)
                self._check_grammar(update)
                passes = self._may_pass(update)
            except RequestError as error:
                ended = self._fail(update.request_id, error)
            else:
                ended = self.scheduler.update(update, self._clock()) if passes else None
            if ended is not None:
                outputs.append(ended)
        return StepFrame(outputs)

    def cancel(self, request_ids: Iterable[str]) -> StepFrame:
        """Abort requests; unknown and finished ids are passed over."""
        aborted = [self._abort(request_id) for request_id in request_ids]
        outputs = [output for output in aborted if output is not None]
        if self.has_work or not outputs:
            return StepFrame(outputs)
        # No step will follow that could tell listeners that everything is free.
        now = self._clock()
        return StepFrame(outputs, self._recorder.record(self._nothing(), outputs, now, now))

    def release(self, conversation_ids: Iterable[str]) -> None:
        """Keep the KV of these conversations no longer than any other."""
        for conversation_id in conversation_ids:
            self.scheduler.release_conversation(conversation_id)

    def step(self) -> StepFrame:
        """Launch a step for every sequence that is due, and collect one.

        A step that fails ends the requests that were in it with ``error``; the others, and the
        engine, go on, unless it ``is_broken``.

        Returns:
            What the step that was collected has brought; with look-ahead the first call after an
            idle time only launches, and its frame is empty.
        """
        started = self._clock()
        refused = self._let_in(started)
        frame = self._advance(started)
        return StepFrame([*refused, *frame.outputs], frame.stats) if refused else frame

    def _advance(self, started: float) -> StepFrame:
        if not self._in_flight:
            self._last_ended = started
        plan = self.scheduler.schedule(started)
        if not plan.is_empty:
            try:
                self._runner.launch(plan)
            except Exception as error:
                self._in_flight.append(plan)
                return self._give_up(started, error)
            self._in_flight.append(plan)
            if len(self._in_flight) <= self._depth:
                return StepFrame([])
        if not self._in_flight:
            return StepFrame([], self._recorder.record(plan, [], started, self._clock()))
        return self._collect()

    def _collect(self) -> StepFrame:
        began = self._last_ended
        try:
            output = self._runner.collect()
        except Exception as error:
            return self._give_up(began, error)
        plan = self._in_flight.popleft()
        self._num_failed_in_a_row = 0
        self._last_ended = now = self._clock()
        predicted_s = self.scheduler.cost_model.predict(plan.shape)
        self.scheduler.cost_model.observe(plan.shape, now - began)
        results = self.scheduler.update_from_output(plan, output, now)
        return StepFrame(results, self._recorder.record(plan, results, began, now, predicted_s))

    def _give_up(self, began: float, error: Exception) -> StepFrame:
        """End everybody in the oldest step in flight, and in those that build on it."""
        self._num_failed_in_a_row += 1
        failed = list(self._in_flight)
        self._in_flight.clear()
        logger.exception(
            "step %d failed with %d sequences",
            failed[0].step,
            failed[0].shape.num_seqs + len(failed[0].chunks),
        )
        if self.is_replaceable and type(error).__name__ in _PROCESS_IS_DONE:
            self._is_done = True
            return StepFrame([])
        for _ in failed[1:]:
            try:
                self._runner.collect()
            except Exception as failure:
                logger.debug("a step after it was given up: %s", type(failure).__name__)
        now = self._clock()
        told = StepFailed("the engine could not compute this step; try again")
        results: list[TokenOutput] = []
        for plan in failed:
            results += self.scheduler.fail_plan(plan, told)
        return StepFrame(results, self._recorder.record(failed[-1], results, began, now))

    def _nothing(self) -> StepPlan:
        return StepPlan(self.scheduler.num_planned)

    def _check_grammar(self, submitted: EngineRequest | RequestUpdate) -> None:
        params = submitted.params
        if self.gate is None and params is not None and params.grammar is not None:
            reason = "cannot be followed: this model's tokenizer does not tell its tokens' text"
            raise InvalidGrammar(reason, "ask without one")

    def _may_pass(self, submitted: EngineRequest | RequestUpdate) -> bool:
        return self.gate is None or self.gate.admit(submitted)

    def _let_in(self, now: float) -> list[TokenOutput]:
        """Queue what waited for a grammar; return the ends of what is refused."""
        if self.gate is None or not self.gate.has_ready:
            return []
        ended: list[TokenOutput | None] = []
        for submitted, error in self.gate.take_ready():
            try:
                if error is not None:
                    raise error
                if isinstance(submitted, EngineRequest):
                    self.scheduler.add_request(submitted, now)
                else:
                    ended.append(self.scheduler.update(submitted, now))
            except RequestError as refusal:
                if isinstance(submitted, EngineRequest):
                    self.gate.cancel(submitted.request_id)
                    ended.append(refusal_of(submitted, refusal))
                else:
                    ended.append(self.scheduler.fail(submitted.request_id, refusal))
        return [output for output in ended if output is not None]

    def _abort(self, request_id: str) -> TokenOutput | None:
        held = self.gate.cancel(request_id) if self.gate is not None else []
        if held and isinstance(held[0], EngineRequest):
            return TokenOutput(
                request_id=request_id,
                token_ids=[],
                finish_reason=FinishReason.ABORT,
                num_prompt_tokens=len(held[0].prompt_token_ids),
            )
        return self.scheduler.abort(request_id)

    def _fail(self, request_id: str, error: RequestError) -> TokenOutput | None:
        held = self.gate.cancel(request_id) if self.gate is not None else []
        if held and isinstance(held[0], EngineRequest):
            return refusal_of(held[0], error)
        return self.scheduler.fail(request_id, error)

    def _check_tokens(self, token_ids: list[int]) -> None:
        vocab_size = self.info.vocab_size
        for token_id in (min(token_ids, default=0), max(token_ids, default=0)):
            if not 0 <= token_id < vocab_size:
                expected = f"token ids of the vocabulary, 0 to {vocab_size - 1}"
                raise InvalidParameter("prompt", token_id, expected)
