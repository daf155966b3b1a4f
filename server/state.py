"""What the rooms of a running server share, and what it says of its own health."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from engine.errors import EngineDead
from server.auth.authenticator import Authenticator
from server.characters.catalog import Catalog
from server.config.settings import ServerSettings
from server.conversation.pinned import PinnedPrompts
from server.engine_port import EnginePort
from server.limits.account_limits import AccountLimits, limits_for
from server.limits.gate import Gate
from server.limits.shedding import SheddingRules
from server.metrics import Metrics
from server.prompt_threads import PromptThreads
from server.recording.writer import Recorder
from server.store.interface import ConversationStore
from server.text.pace import TokenDensity

PROGRESS_TIMEOUT_S = 30.0
"""An engine with live requests and no step for so long is not ready, whatever it says."""


@dataclass(slots=True, kw_only=True)
class ServerState:
    """Made once by ``server.app``; handed to the HTTP rooms and to every connection.

    Attributes:
        settings: As started; never written back.
        catalog: The characters and model names that are served.
        auth: Says whose a key is.
        metrics: What ``/metrics`` prints.
        engine: ``None`` until it is loaded.
        is_draining: New responses are refused, running ones finish, nobody new comes in.
        prompt_threads: Where long prompts are tokenised.
        engine_lost: Set when a request has failed for want of an engine.
        pinned: Which tokens of a prompt are its character's own.
        density: Characters per token of the model's replies.
        store: Where conversations are kept; ``None`` for nowhere.
        recorder: Writes wire logs; ``None`` where nothing is recorded.
        completions: Request ids of the chat completions that are being written.
        gate: What responses go through, and connections with a key.
    """

    settings: ServerSettings
    catalog: Catalog
    auth: Authenticator = field(default_factory=Authenticator)
    metrics: Metrics = field(default_factory=Metrics)
    engine: EnginePort | None = None
    is_draining: bool = False
    prompt_threads: PromptThreads = field(default_factory=PromptThreads)
    engine_lost: asyncio.Event = field(default_factory=asyncio.Event)
    pinned: PinnedPrompts = field(default_factory=PinnedPrompts)
    density: TokenDensity = field(default_factory=TokenDensity)
    store: ConversationStore | None = None
    recorder: Recorder | None = None
    completions: set[str] = field(default_factory=set)
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        """Open the gate with the limits as they are set."""
        limits = self.settings.limits
        rules = SheddingRules(max_wait_s=limits.max_wait_s, max_late_share=limits.max_late_share)

        def limits_of(tenant: str) -> AccountLimits:
            return limits_for(limits, self.auth.limits_of(tenant))

        def count(reason: str) -> None:
            self.metrics.rejections.labels(reason).inc()

        self.gate = Gate(rules, limits_of, count)

    def suspect_engine(self, error_code: str | None) -> None:
        """Note how a request failed; if the engine is gone, whoever watches looks at once."""
        if error_code == EngineDead.code:
            self.engine_lost.set()


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """An answer for a probe.

    Attributes:
        ok: 200 when true, else 503.
        reasons: A word or a sentence each, for people; everything that is in the way.
    """

    ok: bool
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str:
        """All of them, as one."""
        return "; ".join(self.reasons)

    @property
    def status(self) -> int:
        """The HTTP status to answer with."""
        return 200 if self.ok else 503


def livez(state: ServerState) -> HealthAnswer:
    """Whether the process should be left running: it answers, so it should.

    A loop that is stuck cannot answer at all, which is what a probe's own timeout is for. A lost
    engine ends the process with exit code 70; a probe need not do that.
    """
    return HealthAnswer(True, ("draining" if state.is_draining else "alive",))


def readyz(state: ServerState) -> HealthAnswer:
    """Whether new work should be sent here; watches the engine's progress, not its word alone."""
    if state.engine is None:
        return HealthAnswer(False, ("the model is loading",))
    reasons = []
    if state.is_draining:
        reasons.append("draining")
    health = state.engine.health()
    if not health.alive:
        reasons.append("the engine is gone")
    elif health.is_recovering:
        reasons.append("the engine is being restarted")
    elif health.seconds_since_progress > PROGRESS_TIMEOUT_S:
        reasons.append(f"no engine step for {health.seconds_since_progress:.0f} s")
    waiting, most = state.metrics.num_waiting, state.settings.engine.scheduler.max_num_queued_reqs
    if waiting >= most:
        reasons.append(f"the queue is full: {waiting} requests wait, {most} may")
    return HealthAnswer(not reasons, tuple(reasons) or ("ready",))
