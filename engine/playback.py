"""How far a stream is ahead of whoever reads or hears it.

A listener takes tokens at an even rate once the first has come. All that has to be known of them is
when they will run dry: each token that is delivered puts that moment off by ``1 / rate``, and a
token that comes after it is an underrun, from which the listener goes on anew.
"""

from __future__ import annotations

import math


class Playback:
    """One listener of one stream.

    Args:
        tokens_per_s: Tokens consumed per second once consumption has begun, above 0.
        reserve_s: Lead that must be left when the stream is slowed down.

    Attributes:
        runs_dry_at: When everything delivered will have been consumed, seconds; meaningless
            before the first token.
        reserve_s: Lead that must be left when the stream is slowed down.
        num_underruns: Tokens that came after the listener had run dry.
        underrun_s: Seconds that the listener waited for them.
    """

    __slots__ = (
        "_num_delivered",
        "_token_s",
        "num_underruns",
        "reserve_s",
        "runs_dry_at",
        "underrun_s",
    )

    def __init__(self, tokens_per_s: float, reserve_s: float) -> None:
        self._token_s = 1.0 / tokens_per_s
        self.reserve_s = reserve_s
        self.runs_dry_at = 0.0
        self._num_delivered = 0
        self.num_underruns = 0
        self.underrun_s = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to listen to."""
        return self._num_delivered > 0

    @property
    def token_s(self) -> float:
        """Seconds that the listener takes for one token."""
        return self._token_s

    def deliver(self, now: float) -> bool:
        """Take note of one more token.

        Returns:
            Whether it came too late.
        """
        is_late = self._num_delivered > 0 and now > self.runs_dry_at
        if is_late:
            self.num_underruns += 1
            self.underrun_s += now - self.runs_dry_at
        self.runs_dry_at = max(now, self.runs_dry_at) + self._token_s
        self._num_delivered += 1
        return is_late

    def resume(self, num_delivered: int, now: float) -> None:
        """Go on with a stream of which so much was delivered before; all of it counts as heard."""
        self._num_delivered = num_delivered
        self.runs_dry_at = now

    def report(self, num_heard_tokens: int, now: float) -> None:
        """Believe the listener rather than the clock."""
        left = max(0, self._num_delivered - num_heard_tokens)
        self.runs_dry_at = now + left * self._token_s

    def num_heard(self, now: float) -> int:
        """Tokens that the listener will have taken in by now, rounded down."""
        left = math.ceil(max(0.0, self.lead_s(now)) / self._token_s - 1e-9)
        return max(0, self._num_delivered - left)

    def lead_s(self, now: float) -> float:
        """Seconds until the listener runs dry; negative when they wait already."""
        return self.runs_dry_at - now
