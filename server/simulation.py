"""Plays a workload on the simulated engine, as fast as the planning itself takes.

The only module that knows both sides: the listeners of ``clients.replay`` and the rooms of
``engine.simulator``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clients.replay.player import Cancel, Heard, Player, Send
from clients.replay.records import RunRecord, StepRecord
from clients.replay.script import Session
from engine.config import Policy, SchedulerConfig
from engine.cost_model import StepCostModel
from engine.outputs import EngineInfo, RequestDelta, StepFrame, StepStats
from engine.request import EngineRequest, Listener, RequestUpdate, Service
from engine.sampling_params import SamplingParams
from engine.simulator.engine import SimulatedEngine
from engine.simulator.machine import Machine, seconds_per_reply
from server.config.limits import LimitsConfig
from server.limits.account_limits import AccountLimits
from server.limits.gate import Gate, Passage
from server.limits.shedding import SheddingRules

LONGEST_REPLY = 4096
"""What requests ask for where the reply is to end by itself."""

OnProgress = Callable[[int, float], None]
"""Called with the replies that have ended and the virtual second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to simulate.

    Attributes:
        policy: The scheduler's.
        seed: Of the jitter.
        jitter: Standard deviation of the logarithm of each step's time.
        noise: Measured factors on steps' times, to draw from instead of the jitter.
        kv_cache_tokens: KV budget; ``None`` takes the machine's.
        max_num_seqs: Rows; ``None`` takes the machine's.
        max_num_queued_reqs: Requests that may wait.
        ttft_target_s: Of every request.
        itl_target_s: Of the steps; ``None`` takes the machine's.
        listener_reserve_s: Lead that ``paced`` keeps for each listener.
        tells_lengths: Whether requests say how long their replies will be (``max_tokens``), as a
            measurement of a real engine has to; otherwise each ends by its end token.
        report_every_s: How often listeners report their playback; ``None`` never.
        look_ahead: Whether a step is planned before the one before it was read.
        enable_prefix_caching: Whether equal prefixes are shared.
        max_wait_s: New requests that would wait longer for a first token are turned away, as the
            server does; infinite turns nobody away.
        check: Called after every step; for tests.
    """

    policy: Policy = "deadline"
    seed: int = 0
    jitter: float = 0.05
    noise: tuple[float, ...] = ()
    kv_cache_tokens: int | None = None
    max_num_seqs: int | None = None
    max_num_queued_reqs: int = 100_000
    ttft_target_s: float = 0.5
    itl_target_s: float | None = None
    listener_reserve_s: float = 1.0
    tells_lengths: bool = False
    report_every_s: float | None = None
    look_ahead: bool = False
    enable_prefix_caching: bool = True
    max_wait_s: float = math.inf
    check: Callable[[SimulatedEngine], None] | None = None


class _Door:
    """The server's gate in front of the simulated engine."""

    def __init__(self, max_wait_s: float, info: EngineInfo) -> None:
        late = LimitsConfig().max_late_share
        rules = SheddingRules(max_wait_s=max_wait_s, max_late_share=late)
        self._gate = Gate(rules, lambda tenant: AccountLimits())
        self._gate.describe_engine(info)
        self._passages: dict[str, Passage] = {}

    def refusal(self, send: Send, now: float) -> str | None:
        """Let a request through, or say with which code it is turned away."""
        tenant = send.session.tenant
        denial = self._gate.check(tenant, 1, now)
        if denial is not None:
            return denial.code
        self._passages[send.request_id] = self._gate.pass_through(tenant, 1, now)
        return None

    def take(self, frame: StepFrame, now: float) -> None:
        """Learn from what a step brought."""
        for output in frame.outputs:
            passage = self._passages[output.request_id]
            passage.on_delta(
                RequestDelta(output.request_id, "", output.token_ids, output.finish_reason), now
            )
            if output.finish_reason is not None:
                del self._passages[output.request_id]
        if frame.stats is not None:
            self._gate.on_step(frame.stats)


def saturating_rate(sessions: Sequence[Session], machine: Machine) -> float:
    """Return the sessions per second whose replies would keep a machine busy all the time.

    Estimated from mean lengths: the batch is as large as rows and KV memory allow, personas are
    taken to be cached, and nothing is lost to preemption.
    """
    turns = [turn for session in sessions for turn in session.turns]
    if not turns:
        return 1.0
    reply = sum(turn.output_tokens or 1 for turn in turns) / len(turns)
    new = sum(turn.input_tokens for turn in turns) / len(turns)
    persona = sum(session.persona_tokens for session in sessions) / len(sessions)
    turns_each = len(turns) / len(sessions)
    context = persona + (new + reply) * (turns_each + 1) / 2
    batch = max(1, min(machine.max_num_seqs, int(machine.kv_cache_tokens / context)))
    seconds = seconds_per_reply(machine.coefficients, batch, new, context, reply)
    return 1.0 / (seconds * turns_each)


def simulate(
    sessions: Sequence[Session],
    machine: Machine,
    settings: Settings,
    *,
    name: str = "",
    load: float = 1.0,
    on_progress: OnProgress | None = None,
) -> RunRecord:
    """Play all sessions to their end.

    Returns:
        The run, with every request and step.
    """
    engine = _engine(machine, settings)
    door = _Door(settings.max_wait_s, engine.core.info)
    player = Player(
        sessions, vocab_size=engine.core.info.vocab_size, report_every_s=settings.report_every_s
    )
    steps: list[StepRecord] = []
    num_ended = 0
    clock = engine.clock
    while True:
        sends, cancels, heard = [], [], []
        for action in player.due(clock.now):
            if isinstance(action, Send):
                if (code := door.refusal(action, clock.now)) is None:
                    sends.append(action)
                else:
                    num_ended += 1
                    player.on_end(action.request_id, clock.now, finish="error", error_code=code)
            elif isinstance(action, Cancel):
                cancels.append(action.request_id)
            elif isinstance(action, Heard):
                heard.append(action)  # there is no wire here that could break
        if sends:
            requests = [_request(send, settings) for send in sends]
            lengths = [send.turn.output_tokens for send in sends]
            num_ended += _deliver(engine.submit(requests, lengths), player, door, clock.now)
        if heard:
            engine.update([_update(action) for action in heard])
        if cancels:
            num_ended += _deliver(engine.cancel(cancels), player, door, clock.now)
        if engine.has_work:
            frame = engine.step()
            num_ended += _deliver(frame, player, door, clock.now)
            if frame.stats is not None:
                steps.append(step_record(frame.stats))
            if settings.check is not None:
                settings.check(engine)
            if on_progress is not None and not engine.num_steps % 256:
                on_progress(num_ended, clock.now)
            continue
        due = player.next_time()
        if due is None:
            break
        clock.now = max(clock.now, due)
    if on_progress is not None:
        on_progress(num_ended, clock.now)
    for record in player.records:
        record.cancel_steps = engine.cancel_steps.get(record.request_id)
    return RunRecord(
        name=name or settings.policy,
        policy=settings.policy,
        load=load,
        requests=player.records,
        steps=steps,
        duration_s=_duration(player, clock.now),
        computed_tokens=engine.runner.num_computed_tokens,
        recomputed_tokens=engine.runner.num_recomputed_tokens,
        num_preemptions=sum(step.num_preempted for step in steps),
        about={"target": f"simulated {machine.name}", "seed": settings.seed},
    )


def step_record(stats: StepStats, *, origin_s: float = 0.0) -> StepRecord:
    """Return what a report needs of a step; ``origin_s`` is the run's begin on the step's clock."""
    return StepRecord(
        time_s=stats.time_s - origin_s,
        duration_s=stats.duration_s,
        num_running=stats.num_running,
        num_waiting=stats.num_waiting,
        prefill_tokens=stats.prefill_tokens,
        decode_tokens=stats.decode_tokens,
        kv_used=stats.kv_blocks_used,
        kv_cached=stats.kv_blocks_cached,
        kv_total=stats.kv_blocks_total,
        num_preempted=stats.num_preempted,
    )


def service_of(send: Send, *, ttft_target_s: float, reserve_s: float) -> Service:
    """Return how a listener's request wants to be served."""
    session = send.session
    return Service(
        priority=session.priority,
        tenant=session.tenant,
        conversation_id=session.session_id if len(session.turns) > 1 else "",
        num_pinned_tokens=session.persona_tokens,
        ttft_target_s=ttft_target_s,
        listener=Listener(tokens_per_s=session.tokens_per_s, reserve_s=reserve_s),
    )


def _engine(machine: Machine, settings: Settings) -> SimulatedEngine:
    scheduler = SchedulerConfig(
        max_num_seqs=settings.max_num_seqs or machine.max_num_seqs,
        max_num_batched_tokens=machine.max_num_batched_tokens,
        max_num_queued_reqs=settings.max_num_queued_reqs,
        policy=settings.policy,
        itl_target_s=settings.itl_target_s or machine.itl_target_s,
        ttft_target_s=settings.ttft_target_s,
        look_ahead=settings.look_ahead,
    )
    return SimulatedEngine(
        StepCostModel(machine.coefficients),
        scheduler,
        kv_cache_tokens=settings.kv_cache_tokens or machine.kv_cache_tokens,
        enable_prefix_caching=settings.enable_prefix_caching,
        jitter=settings.jitter,
        noise=settings.noise,
        seed=settings.seed,
    )


def _request(send: Send, settings: Settings) -> EngineRequest:
    length = send.turn.output_tokens
    params = (
        SamplingParams(max_tokens=length, ignore_eos=True)
        if settings.tells_lengths
        else SamplingParams(max_tokens=None if length is None else max(LONGEST_REPLY, length))
    )
    return EngineRequest(
        request_id=send.request_id,
        prompt_token_ids=send.prompt_token_ids,
        params=params,
        service=service_of(
            send, ttft_target_s=settings.ttft_target_s, reserve_s=settings.listener_reserve_s
        ),
    )


def _update(heard: Heard) -> RequestUpdate:
    return RequestUpdate(request_id=heard.request_id, num_heard_tokens=heard.num_tokens)


def _deliver(frame: StepFrame, player: Player, door: _Door, now: float) -> int:
    door.take(frame, now)
    ended = 0
    for output in frame.outputs:
        if output.token_ids:
            player.on_tokens(output.request_id, output.token_ids, now)
        if output.finish_reason is not None:
            ended += 1
            player.on_end(
                output.request_id,
                now,
                finish=output.finish_reason.value,
                prompt_tokens=output.num_prompt_tokens,
                cached_tokens=output.num_cached_tokens,
                error_code=output.error_code,
            )
    return ended


def _duration(player: Player, now: float) -> float:
    """From the first request to the last end; what is read afterwards is no work."""
    ends = [record.ended_s for record in player.records if record.ended_s is not None]
    begins = [record.sent_s for record in player.records]
    return max(ends, default=now) - min(begins, default=0.0)
