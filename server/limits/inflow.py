"""How fast one socket may send: messages and bytes, and for how long it may try more."""

from __future__ import annotations

from server.limits.token_bucket import TokenBucket


class Inflow:
    """Says how long to wait before reading on, and when a client does not mean well.

    Waiting fills the socket's own buffers until the client cannot send: an honest client that is a
    little too fast slows down by itself. One that has been waited for without a break for longer
    than ``flood_timeout_s`` is flooding.
    """

    def __init__(
        self,
        *,
        messages_per_s: float,
        message_burst: int,
        bytes_per_s: float,
        byte_burst: int,
        flood_timeout_s: float,
        now: float,
    ) -> None:
        """Start with full buckets.

        Args:
            messages_per_s: For long.
            message_burst: At once.
            bytes_per_s: For long.
            byte_burst: At once.
            flood_timeout_s: Seconds above either rate.
            now: Seconds, on the clock of all further ``now``.
        """
        self._messages = TokenBucket(rate=messages_per_s, burst=message_burst, now=now)
        self._bytes = TokenBucket(rate=bytes_per_s, burst=byte_burst, now=now)
        self._flood_timeout_s = flood_timeout_s
        self._above_since: float | None = None

    def take(self, num_bytes: int, now: float) -> float:
        """Count a message in; returns the seconds to wait before it is read."""
        wait = max(self._messages.take(now), self._bytes.take(now, num_bytes))
        if wait == 0:
            self._above_since = None
        elif self._above_since is None:
            self._above_since = now
        return wait

    def is_flood(self, now: float) -> bool:
        """Whether the client has been above its rates for too long."""
        since = self._above_since
        return since is not None and now - since > self._flood_timeout_s
