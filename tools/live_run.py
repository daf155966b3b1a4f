"""Plays a workload's listeners against a real engine, in real time, and records what they felt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from clients.replay.player import Cancel, Player, Send
from clients.replay.records import RunRecord
from clients.replay.script import Session
from engine.async_engine import AsyncEngine
from engine.outputs import RequestDelta, StepStats
from engine.sampling_params import SamplingParams
from server.simulation import service_of, step_record

TopUp = Callable[[Player, float], None]


class LiveRun:
    """One run; ``play`` it once.

    Args:
        engine: Started, and idle.
        sessions: Who talks.
        name: Of the run.
        policy: The engine's, for the record.
        load: The factor on arrivals, for the record.
        ttft_target_s: Deadline of every first token.
        reserve_s: Lead that ``paced`` leaves to every listener.
        top_up: Called before each decision with the player and the run's second, so that more
            sessions may be added.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        sessions: Sequence[Session],
        *,
        name: str,
        policy: str,
        load: float = 1.0,
        ttft_target_s: float = 0.5,
        reserve_s: float = 1.0,
        top_up: TopUp | None = None,
    ) -> None:
        self.steps: list[StepStats] = []
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._player = Player(sessions, vocab_size=engine.info.vocab_size)
        self._record = RunRecord(name=name, policy=policy, load=load, requests=self._player.records)
        self._ttft_target_s = ttft_target_s
        self._reserve_s = reserve_s
        self._top_up = top_up
        self._begun = 0.0
        self._sleeps_until: float | None = None
        self._wake = asyncio.Event()
        self._held: dict[str, int] = {}

    async def play(self) -> RunRecord:
        """Play all sessions to their end."""
        self._begun = self._loop.time()
        unsubscribe = self._engine.add_step_listener(self._on_step)
        try:
            while self._act():
                wait_s = None if self._sleeps_until is None else self._sleeps_until - self._now()
                if wait_s is None or wait_s > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), wait_s)
                else:
                    await asyncio.sleep(0)
                self._wake.clear()
        finally:
            unsubscribe()
        return self._finished()

    def _now(self) -> float:
        return self._loop.time() - self._begun

    def _act(self) -> bool:
        """Do what is due; returns whether anything is still to come."""
        now = self._now()
        if self._top_up is not None:
            self._top_up(self._player, now)
        for action in self._player.due(now):
            if isinstance(action, Send):
                self._send(action)
            elif isinstance(action, Cancel):
                self._held[action.request_id] = 0
                self._engine.cancel(action.request_id)
        self._sleeps_until = self._player.next_time()
        return self._sleeps_until is not None or self._player.num_live > 0

    def _send(self, send: Send) -> None:
        self._engine.submit(
            send.request_id,
            send.prompt_token_ids,
            SamplingParams(temperature=0.0, max_tokens=send.turn.output_tokens, ignore_eos=True),
            on_delta=self._on_delta,
            service=service_of(send, ttft_target_s=self._ttft_target_s, reserve_s=self._reserve_s),
        )

    def _on_delta(self, delta: RequestDelta) -> None:
        now = self._now()
        if delta.token_ids:
            self._player.on_tokens(delta.request_id, delta.token_ids, now)
        if delta.finish_reason is not None:
            self._player.on_end(
                delta.request_id,
                now,
                finish=delta.finish_reason.value,
                prompt_tokens=delta.num_prompt_tokens,
                cached_tokens=delta.num_cached_tokens,
                error_code=delta.error_code,
            )
        due = self._player.next_time()
        if self._top_up is not None or due != self._sleeps_until or not self._player.num_live:
            self._wake.set()

    def _on_step(self, stats: StepStats) -> None:
        self.steps.append(stats)
        if self._held:
            # The engine's names end in a number of their own.
            computed = {request_id.rpartition("#")[0] for request_id, _, _ in stats.batch}
            for request_id in self._held:
                self._held[request_id] += request_id in computed

    def _finished(self) -> RunRecord:
        record = self._record
        for request in record.requests:
            request.cancel_steps = self._held.get(request.request_id)
        ends = [r.ended_s for r in record.requests if r.ended_s is not None]
        begins = [r.sent_s for r in record.requests]
        record.duration_s = max(ends, default=0.0) - min(begins, default=0.0)
        # Both clocks are the machine's monotonic one.
        record.steps = [step_record(stats, origin_s=self._begun) for stats in self.steps]
        record.computed_tokens = sum(s.prefill_tokens + s.decode_tokens for s in self.steps)
        record.recomputed_tokens = sum(s.num_recomputed for s in self.steps)
        record.num_preemptions = sum(s.num_preempted for s in self.steps)
        record.about = {"target": self._engine.info.model}
        return record
