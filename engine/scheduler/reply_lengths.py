"""How long replies tend to be, learned from those that have ended."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque

MAX_KINDS = 256
"""Kinds of requests told apart; the one longest unseen is forgotten."""
WINDOW = 64
"""Replies remembered of each kind."""
ENOUGH = 4
"""Replies below which a kind is taken for like all others."""
UNKNOWN = 64
"""Tokens expected before anything has been learned."""
QUANTILE = 0.75
"""More than the usual reply, less than the longest: what is not used is only a reserve."""


class _Window:
    """The last so many lengths, sorted."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []

    def add(self, length: int) -> None:
        self._recent.append(length)
        insort(self._sorted, length)
        if len(self._recent) > WINDOW:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]

    def quantile(self) -> int | None:
        """``None`` for too few lengths to speak of."""
        if len(self._sorted) < ENOUGH:
            return None
        return self._sorted[int(QUANTILE * (len(self._sorted) - 1))]


class ReplyLengths:
    """Expected reply length by kind of request; a kind is how a prompt begins, say."""

    def __init__(self) -> None:
        self._all = _Window()
        self._kinds: OrderedDict[int, _Window] = OrderedDict()

    def learn(self, kind: int, length: int) -> None:
        """Take in a reply that ended by itself or at its limit."""
        self._all.add(length)
        window = self._kinds.get(kind)
        if window is None:
            window = self._kinds[kind] = _Window()
            if len(self._kinds) > MAX_KINDS:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(kind)
        window.add(length)

    def expect(self, kind: int, limit: int | None) -> int:
        """Return how many tokens a new reply will have, most likely no more than that.

        Args:
            kind: Of the request.
            limit: Its ``max_tokens``.
        """
        window = self._kinds.get(kind)
        found = window.quantile() if window is not None else None
        if found is None:
            found = self._all.quantile()
        expected = UNKNOWN if found is None else found
        return expected if limit is None else min(expected, limit)
