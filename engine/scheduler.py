"""Iteration-level continuous batching: who computes which tokens in the next step.

There is no prefill phase and no decode phase. Each request has ``num_computed_tokens`` chasing its
length; every step gives one token to each sequence that has only its newest token left to compute
(a decode) and what remains of the token budget to those that have more (prompt chunks). Sequences
join and leave at every step.

Order is by rank: priority first, then arrival. When blocks run out, the running request of lowest
rank loses its blocks and waits to be recomputed; one that was already planned in the same step is
never taken back, so a plan is always consistent.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from engine.config import SchedulerConfig
from engine.errors import (
    DuplicateRequest,
    EngineError,
    NeverFits,
    PromptTooLong,
    QueueFull,
    RequestError,
)
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import (
    ModelRunnerOutput,
    SampledToken,
    ScheduledSequence,
    SchedulerOutput,
    TokenLogprobs,
    TokenOutput,
)
from engine.request import EngineRequest, FinishReason, Request, RequestStatus


class Scheduler:
    """Holds every live request and plans the steps.

    Args:
        config: Limits.
        kv_cache: The ledger; owned by the scheduler from here on.
        max_model_len: Longest sequence in tokens.
        eos_token_ids: The model's end tokens.
    """

    def __init__(
        self,
        config: SchedulerConfig,
        kv_cache: KVCacheManager,
        *,
        max_model_len: int,
        eos_token_ids: Iterable[int] = (),
    ) -> None:
        self.config = config
        self.kv_cache = kv_cache
        self.max_model_len = max_model_len
        self._eos_token_ids = frozenset(eos_token_ids)
        self._requests: dict[str, Request] = {}
        self._waiting: list[tuple[tuple[int, int], Request]] = []
        self._num_waiting = 0
        self._running: list[Request] = []
        self._next_sequence_number = 0

    @property
    def num_running(self) -> int:
        """Sequences in the batch."""
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        """Requests in the queue, preempted ones included."""
        return self._num_waiting

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._requests)

    def add_request(self, submitted: EngineRequest, now: float) -> None:
        """Put a request into the queue.

        Raises:
            RequestError: It can never run, its id is taken, or the queue is full; nothing changed.
        """
        self.check_fits(submitted)
        if submitted.request_id in self._requests:
            raise DuplicateRequest(submitted.request_id)
        if self._num_waiting >= self.config.max_num_queued_reqs:
            raise QueueFull(self._num_waiting, self.config.max_num_queued_reqs)
        stop_ids = set(submitted.params.stop_token_ids)
        if not submitted.params.ignore_eos:
            stop_ids |= self._eos_token_ids
        request = Request(
            submitted,
            stop_token_ids=frozenset(stop_ids),
            arrival_time=now,
            sequence_number=self._next_sequence_number,
        )
        self._next_sequence_number += 1
        self._requests[request.request_id] = request
        self._enqueue(request)

    def check_fits(self, submitted: EngineRequest) -> None:
        """Refuse what fits neither the context nor the whole budget.

        Raises:
            RequestError: With the numbers.
        """
        num_prompt = len(submitted.prompt_token_ids)
        if num_prompt == 0:
            raise RequestError("the prompt is empty; give at least one token", param="prompt")
        if num_prompt >= self.max_model_len:
            raise PromptTooLong(num_prompt, self.max_model_len - 1)
        asked = submitted.params.max_tokens
        longest = num_prompt + 1 if asked is None else num_prompt + asked
        needed = min(longest, self.max_model_len) - 1  # the last token's KV is never computed
        if needed > self.kv_cache.capacity_tokens:
            raise NeverFits(needed, self.kv_cache.capacity_tokens)

    def abort(self, request_id: str) -> TokenOutput | None:
        """End a request wherever it stands.

        Returns:
            Its terminal output; ``None`` when it is unknown or has ended.
        """
        request = self._requests.get(request_id)
        if request is None:
            return None
        return self._finish(request, FinishReason.ABORT)

    def fail(self, request_id: str, error: EngineError) -> TokenOutput | None:
        """End a request because of an error."""
        request = self._requests.get(request_id)
        if request is None:
            return None
        return self._finish(request, FinishReason.ERROR, error=error)

    def schedule(self, now: float) -> SchedulerOutput:
        """Plan the next step; changes the ledger and who runs.

        Every planned sequence must be reported back through ``update_from_output``.
        """
        budget = self.config.max_num_batched_tokens
        preempted: list[str] = []
        planned: list[ScheduledSequence] = []
        self._running.sort(key=lambda request: request.rank)
        decodes = [r for r in self._running if r.num_tokens - r.num_computed_tokens == 1]
        prefills = [r for r in self._running if r.num_tokens - r.num_computed_tokens > 1]
        unplanned = dict.fromkeys(self._running)
        for request in decodes:
            if budget == 0:
                break
            if request not in unplanned:
                continue
            if self._grow_or_preempt(request, unplanned, preempted):
                del unplanned[request]
                planned.append(self._plan(request, 1))
                budget -= 1
        for request in prefills:
            if budget == 0:
                break
            if request in unplanned:
                del unplanned[request]
                chunk = min(budget, request.num_tokens - request.num_computed_tokens)
                planned.append(self._plan(request, chunk))
                budget -= chunk
        plan = SchedulerOutput(planned, preempted=preempted)
        if not preempted:
            self._admit(now, budget, plan)
        return plan

    def update_from_output(
        self, plan: SchedulerOutput, output: ModelRunnerOutput
    ) -> list[TokenOutput]:
        """Take in what a step computed.

        Requests that were aborted while the step ran are passed over.

        Returns:
            One output for each request that got a token or ended.
        """
        results: list[TokenOutput] = []
        for sequence in plan.sequences:
            request = sequence.request
            if request.status is not RequestStatus.RUNNING:
                continue
            request.num_computed_tokens = sequence.start + sequence.num_tokens
            self.kv_cache.commit(request)
            if not sequence.samples:
                continue
            sentence = output.failed.get(request.request_id)
            if sentence is not None:
                error = RequestError(sentence)
                results.append(self._finish(request, FinishReason.ERROR, error=error))
            else:
                results.append(self._take_token(request, output.sampled[request.request_id]))
        return results

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless queue, batch and ledger agree."""
        self.kv_cache.check_integrity()
        waiting = [r for _, r in self._waiting if r.status is not RequestStatus.FINISHED]
        assert len(waiting) == self._num_waiting, "the queue is miscounted"
        assert {r.request_id for r in waiting + self._running} == set(self._requests)
        assert len(waiting) + len(self._running) == len(self._requests), (
            "a request is in two places"
        )
        assert len(self._running) <= self.config.max_num_seqs, "too many sequences run"
        held = self.kv_cache.holders()
        assert held == {r.request_id for r in self._running}, "somebody holds blocks wrongly"
        for request in self._running:
            assert request.status is RequestStatus.RUNNING, f"{request.request_id} is misfiled"
            assert 0 <= request.num_computed_tokens < request.num_tokens

    def _enqueue(self, request: Request) -> None:
        heapq.heappush(self._waiting, (request.rank, request))
        self._num_waiting += 1

    def _grow_or_preempt(
        self, request: Request, unplanned: dict[Request, None], preempted: list[str]
    ) -> bool:
        """Get the block for the next token, taking blocks from lower ranks if need be."""
        while not self.kv_cache.grow(request.request_id, request.num_tokens):
            victim = max(unplanned, key=lambda r: r.rank)
            self._preempt(victim)
            del unplanned[victim]
            preempted.append(victim.request_id)
            if victim is request:
                return False
        return True

    def _preempt(self, request: Request) -> None:
        self.kv_cache.free(request)
        self._running.remove(request)
        request.status = RequestStatus.PREEMPTED
        request.num_computed_tokens = 0
        request.num_preemptions += 1
        self._enqueue(request)

    def _admit(self, now: float, budget: int, plan: SchedulerOutput) -> None:
        """Let the queue's head join while the batch, the budget and the ledger have room."""
        while budget > 0 and len(self._running) < self.config.max_num_seqs:
            request = self._head()
            if request is None:
                return
            admission = self.kv_cache.admit(request)
            if admission is None:
                return
            heapq.heappop(self._waiting)
            self._num_waiting -= 1
            if admission.block_copy is not None:
                plan.block_copies.append(admission.block_copy)
            request.num_computed_tokens = admission.num_cached_tokens
            if request.status is RequestStatus.WAITING:
                request.num_cached_tokens = admission.num_cached_tokens
                request.first_scheduled_time = now
            request.status = RequestStatus.RUNNING
            self._running.append(request)
            chunk = min(budget, request.num_tokens - request.num_computed_tokens)
            plan.sequences.append(self._plan(request, chunk))
            plan.joined.append(request.request_id)
            budget -= chunk

    def _head(self) -> Request | None:
        while self._waiting and self._waiting[0][1].status is RequestStatus.FINISHED:
            heapq.heappop(self._waiting)
        return self._waiting[0][1] if self._waiting else None

    def _plan(self, request: Request, num_tokens: int) -> ScheduledSequence:
        start = request.num_computed_tokens
        return ScheduledSequence(
            request=request,
            start=start,
            num_tokens=num_tokens,
            block_table=self.kv_cache.block_table(request.request_id),
            samples=start + num_tokens == request.num_tokens,
        )

    def _take_token(self, request: Request, sampled: SampledToken) -> TokenOutput:
        token_id = sampled.token_id
        request.token_ids.append(token_id)
        params = request.params
        reason = None
        if token_id in request.stop_token_ids and request.num_output_tokens >= params.min_tokens:
            reason = FinishReason.STOP
        elif request.num_output_tokens == params.max_tokens or self._is_at_the_end(request):
            reason = FinishReason.LENGTH
        logprobs = None if sampled.logprobs is None else [sampled.logprobs]
        if reason is None:
            return _output(request, [token_id], logprobs=logprobs)
        stop_id = token_id if reason is FinishReason.STOP else None
        return self._finish(
            request, reason, token_ids=[token_id], logprobs=logprobs, stop_token_id=stop_id
        )

    def _is_at_the_end(self, request: Request) -> bool:
        return request.num_tokens >= min(self.max_model_len, self.kv_cache.capacity_tokens + 1)

    def _finish(
        self,
        request: Request,
        reason: FinishReason,
        *,
        token_ids: list[int] | None = None,
        logprobs: list[TokenLogprobs] | None = None,
        stop_token_id: int | None = None,
        error: EngineError | None = None,
    ) -> TokenOutput:
        """Take a request out of everything; the one place where a terminal output is made."""
        if request.status is RequestStatus.RUNNING:
            self.kv_cache.free(request)
            self._running.remove(request)
        else:
            self._num_waiting -= 1
        request.status = RequestStatus.FINISHED
        del self._requests[request.request_id]
        self._drop_stale_entries()
        return _output(
            request,
            token_ids or [],
            reason,
            logprobs=logprobs,
            stop_token_id=stop_token_id,
            error=error,
        )

    def _drop_stale_entries(self) -> None:
        """Keep the heap within twice the queue: ended requests leave it lazily."""
        if len(self._waiting) > 2 * self._num_waiting + 64:
            self._waiting = [
                entry for entry in self._waiting if entry[1].status is not RequestStatus.FINISHED
            ]
            heapq.heapify(self._waiting)


def _output(
    request: Request,
    token_ids: list[int],
    reason: FinishReason | None = None,
    *,
    logprobs: list[TokenLogprobs] | None,
    stop_token_id: int | None = None,
    error: EngineError | None = None,
) -> TokenOutput:
    queued_until = request.first_scheduled_time
    return TokenOutput(
        request_id=request.request_id,
        token_ids=token_ids,
        finish_reason=reason,
        logprobs=logprobs,
        num_prompt_tokens=request.num_prompt_tokens,
        num_cached_tokens=request.num_cached_tokens,
        num_output_tokens=request.num_output_tokens,
        queue_s=0.0 if queued_until is None else queued_until - request.arrival_time,
        stop_token_id=stop_token_id,
        error_code=None if error is None else error.code,
        error_message=None if error is None else error.message,
        error_param=None if error is None else error.param,
    )
