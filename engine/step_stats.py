"""What is told of each step: to the live view, the trace and the metrics."""

from __future__ import annotations

from collections.abc import Sequence

from engine.outputs import StepPlan, StepStats, TokenOutput
from engine.scheduler.scheduler import Scheduler


class StepRecorder:
    """Puts a step's statistics together once it has ended."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._num_underruns = 0

    def record(
        self,
        plan: StepPlan,
        results: Sequence[TokenOutput],
        began: float,
        now: float,
        predicted_s: float = 0.0,
    ) -> StepStats:
        """Describe a step, and how things stand after it.

        Args:
            plan: What was computed; an empty one for how things stand.
            results: What it brought.
            began: When it began, or when the one before it ended; seconds.
            now: When it ended.
            predicted_s: What the cost model thought that it would take.
        """
        scheduler = self._scheduler
        kv_cache = scheduler.kv_cache
        num_underruns = scheduler.num_underruns - self._num_underruns
        self._num_underruns = scheduler.num_underruns
        ended = [r.request_id for r in results if r.finish_reason is not None]
        return StepStats(
            step=plan.step,
            time_s=now,
            duration_s=now - began,
            num_running=scheduler.num_running,
            num_waiting=scheduler.num_waiting,
            prefill_tokens=plan.shape.num_new_tokens,
            decode_tokens=plan.shape.num_seqs,
            joined=plan.joined,
            left=[*plan.preempted, *ended],
            kv_blocks_used=kv_cache.num_used_blocks,
            kv_blocks_cached=kv_cache.num_cached_blocks,
            kv_blocks_total=kv_cache.num_blocks,
            batch=plan.batch,
            num_preempted=len(plan.preempted),
            num_recomputed=plan.num_recomputed_tokens,
            num_skipped=plan.num_skipped,
            num_underruns=num_underruns,
            kv_blocks_warm=kv_cache.num_warm_blocks,
            predicted_s=predicted_s,
            kv_tokens_read=plan.shape.num_kv_tokens,
        )
