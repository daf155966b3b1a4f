"""An engine on virtual time: the core, scheduler and ledger that serve, without a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.config import BLOCK_SIZE, CacheConfig, EngineConfig, ModelConfig, SchedulerConfig
from engine.core import EngineCore
from engine.cost_model import StepCostModel, StepShape
from engine.outputs import EngineInfo, StepFrame
from engine.request import EngineRequest, RequestUpdate
from engine.simulator.runner import EOS_TOKEN_ID, SimulatedRunner, VirtualClock

IDLE_STEP_S = 1e-3
"""What passes when a step had nothing to compute although there is work."""


class SimulatedEngine:
    """What a process around the core does: take requests between steps, and step.

    Args:
        cost: How long steps take. The scheduler does not see it; like one that serves, it begins
            with what a few rehearsals showed and learns the rest.
        scheduler: Limits and policy.
        kv_cache_tokens: KV budget in tokens.
        max_model_len: Longest sequence.
        vocab_size: For prompts and replies.
        enable_prefix_caching: Whether equal prefixes are shared.
        jitter: See ``SimulatedRunner``.
        noise: Likewise.
        seed: Of the jitter.
    """

    def __init__(
        self,
        cost: StepCostModel,
        scheduler: SchedulerConfig,
        *,
        kv_cache_tokens: int,
        max_model_len: int = 1 << 17,
        vocab_size: int = 32_768,
        enable_prefix_caching: bool = True,
        jitter: float = 0.0,
        noise: Sequence[float] = (),
        seed: int = 0,
    ) -> None:
        self.clock = VirtualClock()
        self.runner = SimulatedRunner(
            cost, self.clock, vocab_size=vocab_size, jitter=jitter, noise=noise, seed=seed
        )
        num_blocks = max(kv_cache_tokens // BLOCK_SIZE, 1)
        config = EngineConfig(
            model=ModelConfig(model="simulated"),
            cache=CacheConfig(enable_prefix_caching=enable_prefix_caching),
            scheduler=scheduler,
        )
        info = EngineInfo(
            model="simulated",
            architecture="none",
            dtype="none",
            device="none",
            vocab_size=vocab_size,
            max_model_len=min(max_model_len, num_blocks * BLOCK_SIZE),
            eos_token_ids=[EOS_TOKEN_ID],
            num_blocks=num_blocks,
            block_size=BLOCK_SIZE,
            kv_bytes_per_token=1,
            max_num_seqs=scheduler.max_num_seqs,
            max_num_batched_tokens=scheduler.max_num_batched_tokens,
        )
        self.core = EngineCore(info, config, self.runner, self.clock, cost_model=_rehearsed(cost))
        self.num_steps = 0
        self._held_after_cancel: dict[str, int] = {}
        self.cancel_steps: dict[str, int] = {}

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return self.core.has_work

    def submit(self, requests: Sequence[EngineRequest], lengths: Iterable[int | None]) -> StepFrame:
        """Queue requests whose replies will end by themselves after so many tokens."""
        for request, length in zip(requests, lengths, strict=True):
            self.runner.expect(request.request_id, length)
        return self._taken(self.core.submit(requests))

    def update(self, updates: Iterable[RequestUpdate]) -> StepFrame:
        """Pass on news of live requests."""
        return self._taken(self.core.update(updates))

    def cancel(self, request_ids: Sequence[str]) -> StepFrame:
        """Call requests off."""
        for request_id in request_ids:
            self._held_after_cancel[request_id] = 0
        return self._taken(self.core.cancel(request_ids))

    def step(self) -> StepFrame:
        """Compute one step; the clock then shows when it has ended."""
        before = self.clock.now
        self.runner.last_plan = None
        frame = self._taken(self.core.step())
        self.num_steps += 1
        if self.clock.now == before:
            self.clock.now += IDLE_STEP_S
        if self._held_after_cancel:
            self._count_cancelled()
        return frame

    def _count_cancelled(self) -> None:
        """Note in how many steps after its cancel a request still had a place."""
        plan = self.runner.last_plan
        if plan is None:
            return
        computed = {request_id for request_id, _, _ in plan.batch}
        for request_id in list(self._held_after_cancel):
            if request_id in computed:
                self._held_after_cancel[request_id] += 1
            else:
                self.cancel_steps[request_id] = self._held_after_cancel.pop(request_id)

    def _taken(self, frame: StepFrame) -> StepFrame:
        self.runner.forget(o.request_id for o in frame.outputs if o.finish_reason is not None)
        return frame


def _rehearsed(cost: StepCostModel) -> StepCostModel:
    """Return a model that knows what an engine has measured when it is ready."""
    model = StepCostModel()
    for num_seqs, context in ((1, 0), (16, 0), (16, 512)) * 3:
        prompts = StepShape(0, 15 * num_seqs, (context + 15) * num_seqs)
        decodes = StepShape(num_seqs, 0, (context + 16) * num_seqs)
        for shape in (prompts, decodes):
            model.observe(shape, cost.predict(shape))
    return model
