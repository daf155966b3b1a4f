"""What one account has taken and not given back, and what it may still take."""

from __future__ import annotations

import math

from server.limits.account_limits import AccountLimits
from server.limits.denial import Denial, Reason, in_words
from server.limits.token_bucket import TokenBucket
from server.protocol.objects import RateLimit

WINDOW_S = 60.0
"""Requests and tokens are counted per minute."""

RETRY_S = 1.0
"""When a place among one's own may be free; nobody knows how long others are kept."""

_ROUNDING = 1e-6
"""A bucket that has filled up again may lack this much of a whole token."""


class Account:
    """One account; ``Quotas`` counts what is going on.

    Attributes:
        limits: What it may take.
        requests: Responses that it may begin; ``None`` for any number.
        tokens: Likewise.
        num_connections: That are open.
        num_live: Responses that have not ended.
        num_queued: Of those, without a token yet.
        is_new: Whether none has ended yet.
    """

    __slots__ = (
        "is_new",
        "limits",
        "num_connections",
        "num_live",
        "num_queued",
        "requests",
        "tokens",
    )

    def __init__(self, limits: AccountLimits, now: float) -> None:
        """Begin with full buckets."""
        self.num_connections = 0
        self.num_live = 0
        self.num_queued = 0
        self.is_new = True
        self.limit(limits, now)

    def limit(self, limits: AccountLimits, now: float) -> None:
        """Begin anew under these limits; counts of what is going on stay."""
        self.limits = limits
        self.requests = _bucket(limits.requests_per_min, now)
        self.tokens = _bucket(limits.tokens_per_min, now)

    @property
    def is_busy(self) -> bool:
        """Whether something is going on."""
        return self.num_connections > 0 or self.num_live > 0

    def is_settled(self, now: float) -> bool:
        """Whether forgetting it would give it nothing."""
        buckets = (self.requests, self.tokens)
        return all(bucket is None or bucket.full_in(now) <= 0 for bucket in buckets)

    def refusal(self, num_tokens: int, now: float, *, num_ending: int) -> Denial | None:
        """Why a response may not begin; see ``Quotas.check_response``."""
        most = self.limits.max_concurrent_responses
        if most is not None and self.num_live - num_ending >= most:
            return Denial(
                Reason.RESPONSES,
                f"this key has {self.num_live} responses in the making, which is its limit; wait "
                "for one to end",
                RETRY_S,
            )
        most = self.limits.max_queued_responses
        if most is not None and self.num_queued - num_ending >= most:
            return Denial(
                Reason.QUEUED,
                f"this key has {self.num_queued} responses that wait for their first token, which "
                "is its limit; wait for one to begin",
                RETRY_S,
            )
        if self.requests is not None and (wait := self.requests.wait_for(now)) > 0:
            return _used_up(Reason.REQUESTS, "requests", self.requests, wait, now)
        if self.tokens is not None and (wait := self.tokens.wait_for(now, num_tokens)) > 0:
            if wait == math.inf:
                return Denial(
                    Reason.TOKENS,
                    f"this request may come to {num_tokens} tokens, and this key has "
                    f"{self.tokens.burst:g} per minute; shorten the prompt or ask for fewer tokens",
                )
            return _used_up(Reason.TOKENS, "tokens", self.tokens, wait, now, num_tokens)
        return None

    def charge(self, num_tokens: int, now: float, *, num_requests: int = 0) -> None:
        """Take tokens, there or not; a negative number gives some back."""
        if self.requests is not None and num_requests:
            self.requests.take(now, num_requests)
        if self.tokens is None:
            return
        if num_tokens >= 0:
            self.tokens.take(now, num_tokens)
        else:
            self.tokens.give_back(now, -num_tokens)

    def rate_limits(self, now: float) -> list[RateLimit]:
        """What is left of what is limited, for the wire."""
        buckets = (("requests", self.requests), ("tokens", self.tokens))
        return [
            RateLimit(
                name=name,
                limit=int(bucket.burst),
                remaining=max(0, math.floor(bucket.level(now) + _ROUNDING)),
                reset_seconds=round(bucket.full_in(now), 3),
            )
            for name, bucket in buckets
            if bucket is not None
        ]


def _bucket(per_minute: int | None, now: float) -> TokenBucket | None:
    if per_minute is None:
        return None
    return TokenBucket(rate=per_minute / WINDOW_S, burst=per_minute, now=now)


def _used_up(
    reason: Reason, what: str, bucket: TokenBucket, wait: float, now: float, wanted: int = 1
) -> Denial:
    used = bucket.burst - bucket.level(now)
    return Denial(
        reason,
        f"Rate limit reached for {what} per minute: the limit is {bucket.burst:g}, used "
        f"{max(0, math.ceil(used - _ROUNDING))}, requested {wanted}. "
        f"Please try again in {in_words(wait)}.",
        wait,
    )
