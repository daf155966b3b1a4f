"""The one gate that every response goes through, from whichever wire it was asked for."""

from __future__ import annotations

from collections.abc import Callable

from engine.outputs import EngineInfo, RequestDelta, StepStats
from engine.request import FinishReason
from server.limits.account_limits import AccountLimits
from server.limits.denial import Denial
from server.limits.load import Load
from server.limits.quotas import Lease, Quotas
from server.limits.shedding import SheddingRules, judge, may_look_ahead
from server.protocol.objects import RateLimit

_WHOLE = frozenset({FinishReason.STOP, FinishReason.LENGTH})


class Passage:
    """One response that went through; told of everything the engine says of it."""

    __slots__ = ("_began_at", "_lease", "_load")

    def __init__(self, lease: Lease, load: Load) -> None:
        self._lease = lease
        self._load = load
        self._began_at: float | None = None

    def reserve(self, num_tokens: int, now: float) -> None:
        """Know how many tokens it may come to, prompt and reply."""
        self._lease.reserve(num_tokens, now)

    def on_delta(self, delta: RequestDelta, now: float) -> None:
        """Take in what one step brought; with the terminal delta it is over."""
        if self._lease.is_ended:
            return
        if delta.token_ids and self._began_at is None:
            self._began_at = now
            self._lease.leave_queue()
            self._load.began(now)
        if delta.finish_reason is not None:
            num_tokens = delta.num_prompt_tokens + delta.num_output_tokens
            self.end(num_tokens, now, is_whole=delta.finish_reason in _WHOLE)

    def end(self, num_tokens: int, now: float, *, is_whole: bool = False) -> None:
        """It is over; doing this twice does no harm."""
        if self._lease.is_ended:
            return
        began_at = self._began_at
        duration_s = now - began_at if is_whole and began_at is not None else None
        self._load.left(now, had_begun=began_at is not None, duration_s=duration_s)
        self._lease.end(num_tokens, now)


class Gate:
    """Quotas and overload, asked in one place.

    Attributes:
        quotas: What each tenant has taken.
        load: How the engine bears it.
    """

    def __init__(
        self,
        rules: SheddingRules,
        limits_of: Callable[[str], AccountLimits],
        on_denied: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Open.

        Args:
            rules: When work is shed.
            limits_of: What a tenant may take.
            on_denied: Hears the reason of every refusal.
        """
        self.quotas = Quotas(limits_of)
        self.load = Load()
        self._rules = rules
        self._on_denied = on_denied

    def describe_engine(self, info: EngineInfo) -> None:
        """Learn how many rows there are."""
        self.load.num_rows = info.max_num_seqs

    def on_step(self, stats: StepStats) -> None:
        """Take in one engine step; made to be a step listener."""
        self.load.on_step(stats)

    def enter_connection(self, tenant: str, now: float) -> Denial | None:
        """Count a connection in, or say why not."""
        return self._tell(self.quotas.enter_connection(tenant, now))

    def leave_connection(self, tenant: str) -> None:
        """Count a connection out that was counted in."""
        self.quotas.leave_connection(tenant)

    def check(
        self, tenant: str, num_tokens: int, now: float, *, takes_over: bool = False
    ) -> Denial | None:
        """Find out whether a response may begin; nothing is charged.

        One's own limits come first: who has used them up is not told of others.

        Args:
            tenant: Whose.
            num_tokens: What it may come to, as far as that is known.
            now: Seconds.
            takes_over: Whether another response of the tenant ends for it. It then adds nothing
                to the load: whoever interrupts a character is heard also by a busy server.
        """
        denial = self.quotas.check_response(tenant, num_tokens, now, num_ending=int(takes_over))
        if denial is None and not takes_over:
            denial = judge(self._rules, self.load, self.quotas.standing(tenant), now)
        return self._tell(denial)

    def pass_through(self, tenant: str, num_tokens: int, now: float) -> Passage:
        """Charge a response that begins; its tokens may be more than there are, as a debt."""
        lease = self.quotas.start_response(tenant, num_tokens, now)
        self.load.started(now)
        return Passage(lease, self.load)

    def may_look_ahead(self, tenant: str, now: float) -> bool:
        """Whether work may be done for a tenant that it does not wait for."""
        if self.quotas.is_in_debt(tenant, now):
            return False
        return may_look_ahead(self._rules, self.load, now)

    def reservable(self, tenant: str, num_tokens: int, now: float) -> int:
        """See ``Quotas.reservable``."""
        return self.quotas.reservable(tenant, num_tokens, now)

    def rate_limits(self, tenant: str, now: float) -> list[RateLimit]:
        """What a tenant has left of what is limited."""
        return self.quotas.rate_limits(tenant, now)

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless both sides count the same responses."""
        self.quotas.check_integrity()
        self.load.check_integrity()
        assert self.quotas.num_live == self.load.num_waiting + self.load.num_running
        assert self.quotas.num_queued == self.load.num_waiting

    def _tell(self, denial: Denial | None) -> Denial | None:
        if denial is not None:
            self._on_denied(denial.reason.value)
        return denial
