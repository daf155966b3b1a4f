"""Why something is refused, before it is said in the words of one wire or another."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Reason(enum.StrEnum):
    """What was used up; also the metric's label."""

    REQUESTS = "requests_per_min"
    TOKENS = "tokens_per_min"
    RESPONSES = "concurrent_responses"
    QUEUED = "queued_responses"
    KEY_CONNECTIONS = "connections_per_key"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal.

    Attributes:
        reason: What was used up.
        message: One sentence for people: the value, the limit, the way out.
        retry_after_s: Seconds after which asking again makes sense; ``None`` for never.
    """

    reason: Reason
    message: str
    retry_after_s: float | None = None

    @property
    def code(self) -> str:
        """The stable name on the wire; what is one client's own doing has OpenAI's."""
        if self.reason is Reason.OVERLOADED:
            return "server_overloaded"
        if self.reason is Reason.KEY_CONNECTIONS:
            return "too_many_connections"
        return "rate_limit_exceeded"

    @property
    def is_overload(self) -> bool:
        """Whether it is not this client that has taken too much, but all of them together."""
        return self.reason is Reason.OVERLOADED


def in_words(seconds: float) -> str:
    """Say a wait as OpenAI's messages do: ``1.5s``, ``2m3s``."""
    seconds = max(seconds, 0.001)
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + f"{minutes}m{rest}s"
