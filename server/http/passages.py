"""How a completion goes through the gate, and what its client is told of that."""

from __future__ import annotations

from server.conversation.prompt import MAX_REPLY_RESERVE
from server.http.refusals import HttpRefusal, denied
from server.limits.denial import Denial, in_words
from server.limits.gate import Passage
from server.state import ServerState


class Turnstile:
    """The gate, as one client sees it."""

    def __init__(self, state: ServerState, tenant: str) -> None:
        self._state = state
        self._tenant = tenant

    def check(self, now: float) -> None:
        """Refuse whoever has nothing left, before anything is spent on the request.

        Raises:
            HttpRefusal: 429 or 503.
        """
        denial = self._state.gate.check(self._tenant, 1, now)
        if denial is not None:
            raise self._refusal(denial, now)

    def pass_through(self, num_prompt_tokens: int, max_tokens: int | None, now: float) -> Passage:
        """Charge a completion for its prompt and what its reply may come to.

        A reply without a length of its own is charged as if it had a usual one, and nothing that
        would fit into a full minute is refused for good.

        Raises:
            HttpRefusal: 429 or 503.
        """
        gate, tenant = self._state.gate, self._tenant
        reply = MAX_REPLY_RESERVE if max_tokens is None else max_tokens
        reserve = gate.reservable(tenant, num_prompt_tokens + reply, now)
        num_tokens = max(num_prompt_tokens, reserve)
        denial = gate.check(tenant, num_tokens, now)
        if denial is not None:
            raise self._refusal(denial, now)
        return gate.pass_through(tenant, num_tokens, now)

    def headers(self, now: float) -> dict[str, str]:
        """What the client has left, as OpenAI's ``x-ratelimit-*`` headers say it."""
        headers: dict[str, str] = {}
        for limit in self._state.gate.rate_limits(self._tenant, now):
            seconds = limit.reset_seconds
            headers[f"x-ratelimit-limit-{limit.name}"] = str(limit.limit)
            headers[f"x-ratelimit-remaining-{limit.name}"] = str(limit.remaining)
            headers[f"x-ratelimit-reset-{limit.name}"] = in_words(seconds) if seconds else "0s"
        return headers

    def _refusal(self, denial: Denial, now: float) -> HttpRefusal:
        return denied(denial, self.headers(now))
