"""Requests that wait for a place in the batch, in the order of their keys."""

from __future__ import annotations

import heapq
import itertools

from engine.request import Request


class WaitingQueue:
    """A heap that requests leave lazily, and lists of those that wait for a prefix.

    A request whose beginning somebody is computing right now *follows*: it is out of the heap until
    that block is there, and then finds it in the cache.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[float, int], int, Request]] = []
        self._followers: dict[bytes, list[tuple[int, Request]]] = {}
        self._tickets: dict[Request, int] = {}  # an entry without its ticket is void
        self._next_ticket = itertools.count()
        self._num_tokens = 0

    def __len__(self) -> int:
        """Requests that wait, followers included."""
        return len(self._tickets)

    @property
    def num_tokens(self) -> int:
        """Tokens of all that wait; an upper bound of what they have to compute."""
        return self._num_tokens

    @property
    def requests(self) -> list[Request]:
        """Everybody who waits, in the order in which they came."""
        return list(self._tickets)

    def push(self, request: Request) -> None:
        """Let a request wait; its tokens do not change while it does."""
        ticket = self._tickets[request] = next(self._next_ticket)
        self._num_tokens += request.num_tokens
        heapq.heappush(self._heap, (request.key, ticket, request))

    def head(self) -> Request | None:
        """Who is next; ``None`` when nobody waits but followers."""
        while self._heap:
            _, ticket, request = self._heap[0]
            if self._tickets.get(request) == ticket:
                return request
            heapq.heappop(self._heap)
        return None

    def follow(self, block_hash: bytes) -> None:
        """Let the head wait until a block with this identity is computed, or given up."""
        assert self.head() is not None
        _, ticket, request = heapq.heappop(self._heap)
        self._followers.setdefault(block_hash, []).append((ticket, request))

    def block_ready(self, block_hash: bytes) -> None:
        """Put the followers of a block back into the queue."""
        for ticket, request in self._followers.pop(block_hash, ()):
            if self._tickets.get(request) == ticket:
                heapq.heappush(self._heap, (request.key, ticket, request))

    def remove(self, request: Request) -> None:
        """Take a request out, wherever in the queue it is."""
        del self._tickets[request]
        self._num_tokens -= request.num_tokens
        if len(self._heap) > 2 * len(self._tickets) + 64:
            self._heap = [e for e in self._heap if self._tickets.get(e[2]) == e[1]]
            heapq.heapify(self._heap)

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless everybody is in one place, and counted right."""
        entries = [(ticket, request) for _, ticket, request in self._heap]
        entries += [entry for followers in self._followers.values() for entry in followers]
        placed = [r for ticket, r in entries if self._tickets.get(r) == ticket]
        assert len(placed) == len(set(placed)) == len(self._tickets), "somebody is misplaced"
        assert self._num_tokens == sum(r.num_tokens for r in placed), "tokens are miscounted"
        assert len(self._heap) <= 2 * len(self._tickets) + 65, "the heap holds too much"
