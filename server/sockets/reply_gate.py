"""How one session's replies go through the gate."""

from __future__ import annotations

from server.conversation.prompt import CHARACTERS_PER_TOKEN, MAX_REPLY_RESERVE
from server.errors import RateLimited
from server.limits.gate import Passage
from server.protocol.server_events import RateLimitsUpdated
from server.session.effects import Generate
from server.state import ServerState


class ReplyGate:
    """The gate, as one session sees it."""

    def __init__(self, state: ServerState, tenant: str) -> None:
        """Go by a tenant.

        Args:
            state: Shared with every room.
            tenant: Whose session it is.
        """
        self._gate = state.gate
        self._tenant = tenant

    def check(self, max_tokens: int | None, now: float, *, takes_over: bool = False) -> None:
        """Find out whether a reply may begin, before anything is done for it.

        Its prompt is not known yet. Where it is longer than what is left the tenant goes into
        debt, and whatever is asked for next waits for that.

        Args:
            max_tokens: Of the reply.
            now: Seconds.
            takes_over: Whether one of the session's own replies ends for it.

        Raises:
            RateLimited: It may not; nothing is charged.
        """
        reply = MAX_REPLY_RESERVE if max_tokens is None else max_tokens
        num_tokens = self._gate.reservable(self._tenant, reply, now)
        denial = self._gate.check(self._tenant, num_tokens, now, takes_over=takes_over)
        if denial is not None:
            raise RateLimited(denial.code, denial.message, retry_after_s=denial.retry_after_s)

    def pass_through(self, wanted: Generate, now: float) -> Passage:
        """Charge a reply that begins, for a prompt of about that length."""
        num_chars = sum(len(message.content) for message in wanted.messages)
        num_tokens = self.num_tokens(wanted, num_chars // CHARACTERS_PER_TOKEN, now)
        return self._gate.pass_through(self._tenant, num_tokens, now)

    def num_tokens(self, wanted: Generate, num_prompt_tokens: int, now: float) -> int:
        """What a reply may come to behind a prompt of that length."""
        reply = wanted.max_output_tokens or MAX_REPLY_RESERVE
        reserve = self._gate.reservable(self._tenant, num_prompt_tokens + reply, now)
        return max(num_prompt_tokens, reserve)

    def may_look_ahead(self, now: float) -> bool:
        """Whether there is room for work that nobody waits for."""
        return self._gate.may_look_ahead(self._tenant, now)

    def rate_limits(self, now: float) -> RateLimitsUpdated | None:
        """What is left, to be told when a reply begins; ``None`` where nothing is limited."""
        limits = self._gate.rate_limits(self._tenant, now)
        return RateLimitsUpdated(rate_limits=limits) if limits else None
