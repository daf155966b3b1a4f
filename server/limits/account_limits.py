"""What one account may take: the server's settings, and what its key says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from server.auth.keys import KeyLimits
from server.config.limits import LimitsConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """What one account may take; ``None`` is without a limit.

    Attributes:
        max_connections: WebSockets at once.
        max_concurrent_responses: Responses at once, those in the queue included.
        max_queued_responses: Responses that wait for their first token.
        requests_per_min: Responses that may begin within a minute.
        tokens_per_min: Of prompts and replies together.
    """

    max_connections: int | None = None
    max_concurrent_responses: int | None = None
    max_queued_responses: int | None = None
    requests_per_min: int | None = None
    tokens_per_min: int | None = None


def limits_for(config: LimitsConfig, key: KeyLimits) -> AccountLimits:
    """The settings', where a key has none of its own."""

    def either(own: int | None, usual: int | None) -> int | None:
        return usual if own is None else own

    return AccountLimits(
        max_connections=either(key.max_connections, config.max_connections_per_key),
        max_concurrent_responses=either(
            key.max_concurrent_responses, config.max_concurrent_responses
        ),
        max_queued_responses=config.max_queued_responses,
        requests_per_min=either(key.requests_per_min, config.requests_per_min),
        tokens_per_min=either(key.tokens_per_min, config.tokens_per_min),
    )
