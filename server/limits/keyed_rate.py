"""One token bucket per name, for names that strangers choose."""

from __future__ import annotations

from collections import OrderedDict

from server.limits.token_bucket import TokenBucket

MAX_NAMES = 10_000


class KeyedRate:
    """Lets so many per second come from each name; remembers no more names than it may.

    Where there are too many, the name that was seen longest ago is forgotten, and so has a full
    bucket again: whoever has that many names needs another limit beside this one.
    """

    def __init__(self, *, rate: float, burst: float, max_names: int = MAX_NAMES) -> None:
        """Start with nobody.

        Args:
            rate: Per second and name.
            burst: At once, per name.
            max_names: Names to remember.
        """
        self._rate = rate
        self._burst = burst
        self._max_names = max_names
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()  # least recently seen first

    def __len__(self) -> int:
        """Names that are remembered."""
        return len(self._buckets)

    def take(self, name: str, now: float) -> float:
        """Take one if there is one; otherwise returns the seconds to wait and takes nothing."""
        bucket = self._buckets.get(name)
        if bucket is None:
            while len(self._buckets) >= self._max_names:
                self._buckets.popitem(last=False)
            bucket = self._buckets[name] = TokenBucket(rate=self._rate, burst=self._burst, now=now)
        self._buckets.move_to_end(name)
        wait = bucket.wait_for(now)
        if wait == 0:
            bucket.take(now)
        return wait
