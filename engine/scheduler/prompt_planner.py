"""Spends a step's prompt tokens: on prompts in the batch, then on newcomers, by their keys."""

from __future__ import annotations

from engine.kv_cache.manager import KVCacheManager
from engine.outputs import Chunk, SlotLoad, StepPlan
from engine.request import Request, RequestStatus
from engine.scheduler.admission import Admission
from engine.scheduler.batch import Batch
from engine.scheduler.ends import Ends
from engine.scheduler.prefix_leaders import PrefixLeaders
from engine.scheduler.prompt_budget import PromptBudget
from engine.scheduler.retry import RetryAdvice
from engine.scheduler.waiting import WaitingQueue


class PromptPlanner:
    """Cuts prompts into chunks, and lets the queue's head join while there is something to spend.

    Args:
        kv_cache: The ledger.
        batch: Who computes.
        queue: Who waits.
        admission: Who may join.
        leaders: What is being computed for others too.
        budget: What a step takes, and what is cached as a rule.
        ends: Where a request ends.
        retry: Hears who joins.
        follows: Whether whoever is about to compute what another computes waits for it, and room
            is kept for what the batch will grow by; without it only blocks that are free count.
    """

    def __init__(
        self,
        kv_cache: KVCacheManager,
        batch: Batch,
        queue: WaitingQueue,
        *,
        admission: Admission,
        leaders: PrefixLeaders,
        budget: PromptBudget,
        ends: Ends,
        retry: RetryAdvice,
        follows: bool,
    ) -> None:
        self._kv_cache = kv_cache
        self._batch = batch
        self._queue = queue
        self._admission = admission
        self._leaders = leaders
        self._budget = budget
        self._ends = ends
        self._retry = retry
        self._follows = follows

    def could_join(self, head: Request) -> bool:
        """Whether nothing but a row of the coming step may be missing."""
        can_share = self._admission.can_share_rows(head, self._budget.step_s)
        return can_share and self._admission.has_blocks(head)

    def plan(self, plan: StepPlan, budget: int, now: float) -> tuple[int, int]:
        """Add chunks to a plan; whoever gets the last of a final prompt decodes from then on.

        Args:
            plan: Of the coming step; whoever is preempted in it keeps newcomers out.
            budget: Prompt tokens that it may compute.
            now: Seconds.

        Returns:
            Prompt tokens planned, and KV tokens that they read.
        """
        num_read, left = 0, budget
        for request in list(self._batch.extending):
            if left <= 0:
                break
            left -= self._add_chunk(request, plan, left)
            num_read += request.num_planned_tokens
        while left > 0 and not plan.preempted:
            joined = self._admit(plan, now)
            if joined is None:
                break
            left -= self._add_chunk(joined, plan, left)
            num_read += joined.num_planned_tokens
        return budget - left, num_read

    def _add_chunk(self, request: Request, plan: StepPlan, most: int) -> int:
        count = min(most, request.num_tokens - request.num_planned_tokens)
        if not count:
            return 0  # a prompt that is not final, waiting for its last chunk to be read back
        request.num_planned_tokens += count
        samples = request.is_final and request.num_planned_tokens == request.num_tokens
        plan.chunks.append(Chunk(request.slot, count, samples))
        if samples:
            self._batch.begin_decoding(request, self._ends.longest(request))
        return count

    def _admit(self, plan: StepPlan, now: float) -> Request | None:
        """Let the queue's head join, if batch and ledger have room; see `Admission`."""
        kv_cache = self._kv_cache
        while (request := self._queue.head()) is not None:
            if not self._admission.has_row(request, self._budget.step_s):
                return None
            if self._follows:
                missing = kv_cache.next_missing_hash(request)
                if missing is not None and self._leaders.is_computing(missing):
                    self._queue.follow(missing)
                    continue
                if not self._admission.has_blocks(request):
                    return None
            admission = kv_cache.admit(request)
            if admission is None:
                return None
            self._queue.remove(request)
            self._retry.joined(now)
            if admission.block_copy is not None:
                plan.block_copies.append(admission.block_copy)
            plan.restores += admission.restores
            self._join(request, plan, admission.num_cached_tokens, now)
            return request
        return None

    def _join(self, request: Request, plan: StepPlan, num_cached: int, now: float) -> None:
        request.num_computed_tokens = request.num_planned_tokens = num_cached
        if request.status is RequestStatus.WAITING:
            request.num_cached_tokens = num_cached
            request.first_scheduled_time = now
        plan.num_recomputed_tokens += max(0, request.num_lost_tokens - num_cached)
        request.num_lost_tokens = 0
        self._batch.join(request, plan.step)
        self._admission.joined(request)
        self._budget.joined(request, num_cached)
        if self._follows:
            self._leaders.lead(request, self._kv_cache.missing_hashes(request))
        plan.joined.append(request.request_id)
        plan.loads.append(
            SlotLoad(
                slot=request.slot,
                request_id=request.request_id,
                params=request.params,
                token_ids=list(request.token_ids),
                num_prompt_tokens=request.num_prompt_tokens,
                num_computed_tokens=num_cached,
                block_table=self._kv_cache.block_table(request.request_id),
                stop_token_ids=request.stop_token_ids,
            )
        )
