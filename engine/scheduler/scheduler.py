"""Plans the steps: who computes which tokens, who joins, who sleeps, who has to give way.

There is no prefill phase and no decode phase. Each request has ``num_computed_tokens`` chasing its
length; every step gives one token to each stream that decodes and spends what is left of it on
prompt chunks. Sequences join and leave at every step.

A plan may be made before the step ahead of it has been read (look-ahead): what that step samples is
counted as planned, and what comes back for somebody who has left in the meantime is dropped by its
slot's epoch. Blocks that a step in flight may still write to are held back until it has ended.

Order is by key. Under ``fcfs`` that is priority, then arrival. Otherwise it is the moment by which
the first token is due, put off by the tenant's debt (`FairShare`) and by ``aging_s`` per step of
priority: fixed at arrival, so that everybody is first one day.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.config import SchedulerConfig
from engine.cost_model import StepCostModel, StepShape
from engine.errors import (
    DuplicateRequest,
    EngineError,
    QueueFull,
    RequestError,
)
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import (
    BatchEntry,
    ModelRunnerOutput,
    SampledToken,
    StepPlan,
    TokenOutput,
)
from engine.request import (
    IN_BATCH,
    EngineRequest,
    FinishReason,
    Request,
    RequestStatus,
    RequestUpdate,
)
from engine.scheduler.admission import Admission
from engine.scheduler.batch import Batch
from engine.scheduler.ends import Ends
from engine.scheduler.outputs import output_of
from engine.scheduler.pacer import Pacer
from engine.scheduler.prefix_leaders import PrefixLeaders
from engine.scheduler.pressure import Pressure
from engine.scheduler.prompt_budget import PromptBudget
from engine.scheduler.prompt_planner import PromptPlanner
from engine.scheduler.ranking import Ranking
from engine.scheduler.retry import RetryAdvice
from engine.scheduler.waiting import WaitingQueue

SLEEPERS_PER_ROW = 4
"""Under ``paced``, sequences that may hold a slot for each that may be computed in a step."""
SCARCE_SHARE = 0.25
"""Under ``paced``, nobody sleeps while less than this share of the blocks is free."""


class Scheduler:
    """Holds every live request and plans the steps.

    Args:
        config: Limits and targets.
        kv_cache: The ledger; owned by the scheduler from here on.
        max_model_len: Longest sequence in tokens.
        eos_token_ids: The model's end tokens.
        cost_model: Predicts steps; whoever measures them teaches it.

    Attributes:
        num_underruns: Tokens so far that reached their listeners too late.
    """

    def __init__(
        self,
        config: SchedulerConfig,
        kv_cache: KVCacheManager,
        *,
        max_model_len: int,
        eos_token_ids: Iterable[int] = (),
        cost_model: StepCostModel | None = None,
    ) -> None:
        self.config = config
        self.kv_cache = kv_cache
        self.cost_model = cost_model or StepCostModel()
        self.num_underruns = 0
        self._is_fcfs = config.policy == "fcfs"
        self._is_paced = config.policy == "paced"
        max_rows = min(config.max_num_seqs, config.max_num_batched_tokens)
        num_slots = max_rows * SLEEPERS_PER_ROW if self._is_paced else max_rows
        self._requests: dict[str, Request] = {}
        self._queue = WaitingQueue()
        self._batch = Batch(num_slots, max_rows, kv_cache.block_size)
        self._admission = Admission(kv_cache, self._batch, max_rows=max_rows)
        self._leaders = PrefixLeaders(self._queue, kv_cache.block_size)
        self._pacer = Pacer(self._batch)
        self._num_parked = 0
        self._ranking = Ranking(config, self.cost_model, self._admission)
        self._budget = PromptBudget(config, self.cost_model, self._batch, self._queue)
        self._ends = Ends(max_model_len, kv_cache.capacity_tokens, eos_token_ids)
        self._pressure = Pressure(
            kv_cache,
            self._batch,
            self._queue,
            self._ends,
            self.cost_model,
            pauses=not self._is_fcfs,
            leave_batch=self._leave_batch,
        )
        self._retry = RetryAdvice()
        self._prompts = PromptPlanner(
            kv_cache,
            self._batch,
            self._queue,
            admission=self._admission,
            leaders=self._leaders,
            budget=self._budget,
            ends=self._ends,
            retry=self._retry,
            follows=not self._is_fcfs,
        )
        self._next_sequence_number = 0
        self._num_planned = 0  # steps
        self._num_ended = 0
        self._rows: tuple[int, ...] = ()
        self._decode_entries: list[BatchEntry] = []

    @property
    def num_running(self) -> int:
        """Sequences in the batch."""
        return len(self._batch)

    @property
    def num_waiting(self) -> int:
        """Requests in the queue, preempted and paused ones included."""
        return len(self._queue) + self._pressure.num_paused

    @property
    def num_pauses(self) -> int:
        """Streams so far that lost their blocks because their listeners had enough."""
        return self._pressure.num_pauses

    @property
    def num_planned(self) -> int:
        """Steps planned so far."""
        return self._num_planned

    @property
    def num_in_flight(self) -> int:
        """Steps that are planned and have not been reported back."""
        return self._num_planned - self._num_ended

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything; waiting for the rest of a prompt is nothing."""
        return len(self._requests) > self._num_parked or self.num_in_flight > 0

    def add_request(self, submitted: EngineRequest, now: float) -> None:
        """Put a request into the queue.

        Raises:
            RequestError: It can never run, its id is taken, or the queue is full; nothing changed.
        """
        self.check_fits(submitted)
        if submitted.request_id in self._requests:
            raise DuplicateRequest(submitted.request_id)
        num_queued = self.num_waiting + self._num_parked
        if num_queued >= self.config.max_num_queued_reqs and not submitted.is_resumed:
            retry_after_s = self._retry.after(num_queued)
            raise QueueFull(num_queued, self.config.max_num_queued_reqs, retry_after_s)
        request = Request(
            submitted,
            stop_token_ids=self._ends.stop_token_ids(submitted),
            arrival_time=now,
            sequence_number=self._next_sequence_number,
        )
        self._next_sequence_number += 1
        self._requests[request.request_id] = request
        self._ranking.rank(request, now)
        self._queue.push(request)

    def check_fits(self, submitted: EngineRequest) -> None:
        """Refuse what fits neither the context nor the whole budget.

        Raises:
            RequestError: With the numbers.
        """
        num_prompt = len(submitted.prompt_token_ids)
        if num_prompt == 0:
            raise RequestError("the prompt is empty; give at least one token", param="prompt")
        self._ends.check_length(num_prompt, submitted.params.max_tokens)
        if submitted.output_token_ids:
            self._ends.check_resumed(submitted)

    def update(self, update: RequestUpdate, now: float) -> TokenOutput | None:
        """Take in news of a request; an unknown or ended one is passed over.

        Returns:
            Its terminal output, when what was appended cannot be.
        """
        request = self._requests.get(update.request_id)
        if request is None:
            return None
        if update.num_heard_tokens is not None and request.playback is not None:
            request.playback.report(update.num_heard_tokens, now)
        if not update.token_ids and not update.is_final:
            return None
        params = update.params or request.params
        try:
            if request.is_final:
                raise RequestError("the prompt was final; nothing can be appended", param="prompt")
            self._ends.check_length(request.num_tokens + len(update.token_ids), params.max_tokens)
        except RequestError as error:
            return self._finish(request, FinishReason.ERROR, error)
        self._withdraw(request)
        request.token_ids += update.token_ids
        request.num_prompt_tokens = request.num_tokens
        request.params = params
        request.is_final = update.is_final
        request.arrival_time = now
        request.first_scheduled_time = None
        request.num_computed_tokens = 0
        request.status = RequestStatus.WAITING
        request.stop_token_ids = self._ends.stop_token_ids(request)
        self._ranking.rank(request, now)
        self._queue.push(request)
        return None

    def abort(self, request_id: str) -> TokenOutput | None:
        """End a request wherever it stands; its slot is free for the next plan.

        Returns:
            Its terminal output; ``None`` when it is unknown or has ended.
        """
        request = self._requests.get(request_id)
        return None if request is None else self._finish(request, FinishReason.ABORT)

    def fail(self, request_id: str, error: EngineError) -> TokenOutput | None:
        """End a request because of an error."""
        request = self._requests.get(request_id)
        return None if request is None else self._finish(request, FinishReason.ERROR, error)

    def release_conversation(self, conversation_id: str) -> None:
        """Keep the KV of a conversation no longer than any other."""
        self.kv_cache.release_conversation(conversation_id)

    def schedule(self, now: float) -> StepPlan:
        """Plan the next step; changes the ledger and who runs.

        A plan that is not empty must be reported back through ``update_from_output`` or
        ``fail_plan``, in the order of planning.
        """
        plan = StepPlan(self._num_planned + 1)
        self._pressure.bring_back(now)
        if self._is_paced:
            self._pace(now, plan)
        self._pressure.grow_decodes(plan, now)
        decodes = self._batch.decodes
        plan.decodes = decodes.slots
        plan.batch = self._row_entries()
        num_kv_tokens = decodes.num_kv_tokens
        self._batch.advance()
        budget = self._budget.num_tokens(
            len(plan.decodes),
            num_kv_tokens,
            now,
            spare_s=self._pacer.spare_s if self._is_paced else None,
        )
        num_new, num_read = self._prompts.plan(plan, budget, now)
        plan.offloads = self.kv_cache.take_offloads()
        plan.shape = StepShape(len(plan.decodes), num_new, num_kv_tokens + num_read)
        if plan.chunks:
            plan.batch = [*plan.batch, *self._chunk_entries(plan)]
        if not plan.is_empty:
            self._num_planned = plan.step
            self._budget.last_shape = plan.shape
        return plan

    def update_from_output(
        self, plan: StepPlan, output: ModelRunnerOutput, now: float
    ) -> list[TokenOutput]:
        """Take in what a step computed.

        What it computed for those who have left in the meantime is passed over.

        Returns:
            One output for each request that got a token or ended.
        """
        self._end_step(plan)
        block_size = self.kv_cache.block_size
        results: list[TokenOutput] = []
        for slot in plan.decodes:
            request = self._batch.slots.holder(slot, plan.step)
            if request is None:
                continue
            request.num_computed_tokens += 1
            if not request.num_computed_tokens % block_size:
                self.kv_cache.commit(request)
            results.append(self._take_row(request, slot, output, now))
        for chunk in plan.chunks:
            request = self._batch.slots.holder(chunk.slot, plan.step)
            if request is None:
                continue
            request.num_computed_tokens += chunk.num_tokens
            self.kv_cache.commit(request)
            self._leaders.advance(request)
            if chunk.samples:
                results.append(self._take_row(request, chunk.slot, output, now))
            elif request.num_computed_tokens == request.num_tokens and not request.is_final:
                self._park(request)
        return results

    def fail_plan(self, plan: StepPlan, error: EngineError) -> list[TokenOutput]:
        """End everybody who was in a step that could not be computed.

        Nothing that it wrote may be shared, so the prefix cache is emptied too.
        """
        self._end_step(plan)
        slots = [*plan.decodes, *(chunk.slot for chunk in plan.chunks)]
        holders = [self._batch.slots.holder(slot, plan.step) for slot in slots]
        ended = [
            self._finish(request, FinishReason.ERROR, error)
            for request in holders
            if request is not None
        ]
        self.kv_cache.reset_prefix_cache()
        return ended

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless queue, batch and ledger agree."""
        self.kv_cache.check_integrity()
        self._queue.check_integrity()
        self._batch.check_integrity()
        self._leaders.check_integrity()
        self._admission.check_integrity()
        holders = self._batch.slots.holders()
        by_status = {status: set[Request]() for status in RequestStatus}
        for request in self._requests.values():
            by_status[request.status].add(request)
        waiting = by_status[RequestStatus.WAITING] | by_status[RequestStatus.PREEMPTED]
        assert waiting == set(self._queue.requests), "somebody waits wrongly"
        assert {r for s in IN_BATCH for r in by_status[s]} == set(holders), "the batch is wrong"
        assert len(by_status[RequestStatus.PARKED]) == self._num_parked, "miscounted"
        assert len(by_status[RequestStatus.PAUSED]) == self._pressure.num_paused, "miscounted"
        assert not by_status[RequestStatus.FINISHED], "somebody has ended and is still here"
        assert self.kv_cache.holders() == {r.request_id for r in holders}
        for request in holders:
            assert request.num_computed_tokens <= request.num_planned_tokens or (
                request.status is RequestStatus.DECODING
            )
            assert request.num_computed_tokens <= request.num_tokens

    # -- what a plan is made of

    def _pace(self, now: float, plan: StepPlan) -> None:
        """Wake and put to sleep; see `Pacer`."""
        step_s = self._budget.step_s
        is_at_risk = self._is_first_token_at_risk(now)
        for request in self._pacer.wake_due(now, horizon_s=step_s, everybody=not is_at_risk):
            if self._batch.has_row or self._pacer.replace(request, now):
                self._batch.wake(request, self._ends.longest(request))
            else:
                self._pacer.keep_asleep(request, now)
        if is_at_risk:
            self._pacer.put_to_sleep(now)
        else:
            self._pacer.spare_s = 0.0
        plan.num_skipped = self._batch.num_asleep

    def _is_first_token_at_risk(self, now: float) -> bool:
        """Whether somebody's first token would be late if nothing were done about it."""
        if self.kv_cache.num_free_blocks < SCARCE_SHARE * self.kv_cache.num_blocks:
            return False  # who sleeps keeps blocks for longer, and those are what is missing
        head = self._queue.head()
        # Sleeping makes room in the steps. To who lacks anything else it is only a delay.
        if head is None or not self._prompts.could_join(head):
            return self._budget.is_late(None, now)
        return not self._batch.has_row or self._budget.is_late(head, now)

    def _row_entries(self) -> list[BatchEntry]:
        """Who decodes, by name; made anew only when the rows have changed."""
        decodes = self._batch.decodes
        if decodes.slots is not self._rows:
            self._rows = decodes.slots
            self._decode_entries = [(r.request_id, "decode", 1) for r in decodes.requests]
        return self._decode_entries

    def _chunk_entries(self, plan: StepPlan) -> list[BatchEntry]:
        holders = (self._batch.slots.holder(chunk.slot, plan.step) for chunk in plan.chunks)
        return [
            (request.request_id, "prefill", chunk.num_tokens)
            for request, chunk in zip(holders, plan.chunks, strict=True)
            if request is not None
        ]

    # -- what a step brought

    def _end_step(self, plan: StepPlan) -> None:
        assert plan.step == self._num_ended + 1, "steps are reported back out of order"
        self._num_ended = plan.step
        self.kv_cache.end_step(plan.step)

    def _take_row(
        self, request: Request, slot: int, output: ModelRunnerOutput, now: float
    ) -> TokenOutput:
        sentence = output.failed.get(slot)
        if sentence is not None:
            return self._finish(request, FinishReason.ERROR, RequestError(sentence))
        return self._take_token(request, output.sampled[slot], now)

    def _take_token(self, request: Request, sampled: SampledToken, now: float) -> TokenOutput:
        token_id = sampled.token_id
        request.token_ids.append(token_id)
        self._admission.grew(request)
        if request.playback is not None and request.playback.deliver(now):
            self.num_underruns += 1
        reason = None
        num_output = request.num_output_tokens
        if token_id in request.stop_token_ids and num_output >= request.params.min_tokens:
            reason = FinishReason.STOP
        elif request.num_tokens >= self._ends.longest(request):
            reason = FinishReason.LENGTH
        logprobs = None if sampled.logprobs is None else [sampled.logprobs]
        if reason is None:
            return output_of(request, [token_id], logprobs=logprobs)
        self._admission.ended(request)
        self._end(request)
        stop_id = token_id if reason is FinishReason.STOP else None
        return output_of(request, [token_id], reason, logprobs=logprobs, stop_token_id=stop_id)

    def _finish(
        self, request: Request, reason: FinishReason, error: EngineError | None = None
    ) -> TokenOutput:
        self._end(request)
        return output_of(request, [], reason, error=error)

    def _end(self, request: Request) -> None:
        """Take a request out of everything."""
        self._withdraw(request)
        request.status = RequestStatus.FINISHED
        del self._requests[request.request_id]

    def _withdraw(self, request: Request) -> None:
        """Take a request out of wherever it stands; its status is to be set next."""
        match request.status:
            case RequestStatus.WAITING | RequestStatus.PREEMPTED:
                self._queue.remove(request)
            case RequestStatus.PAUSED:
                self._pressure.forget_paused(request)
            case RequestStatus.PARKED:
                self._num_parked -= 1
            case _:
                self._leave_batch(request)

    def _park(self, request: Request) -> None:
        """An unfinished prompt is computed: the cache keeps it until there is more of it."""
        self._leave_batch(request)
        request.status = RequestStatus.PARKED
        self._num_parked += 1

    def _leave_batch(self, request: Request) -> None:
        self._admission.left(request)
        self._leaders.resign(request)
        self._batch.leave(request)
        defer_until = self._num_planned if self.num_in_flight else None
        self.kv_cache.free(request, defer_until=defer_until)
