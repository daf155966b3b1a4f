"""When a batch begins and what is in it: full, or the first item has waited long enough.

Events in, effects out; time comes in as an argument.
"""

from __future__ import annotations

from collections import OrderedDict

from engine.errors import Closed, ConfigError, QueueFull

_RETRY_AFTER_S = 1.0


class BatchQueue:
    """Items that wait for their batch, in order; one batch runs at a time.

    Args:
        max_batch_size: Items in a batch at most; so many begin at once.
        max_wait_s: Seconds after which fewer begin, counted from the first of them.
        max_waiting: Items that may wait; further ones are refused.

    Raises:
        ConfigError: A bound is too small.
    """

    def __init__(self, max_batch_size: int, max_wait_s: float, max_waiting: int) -> None:
        if max_batch_size < 1:
            raise ConfigError(f"max_batch_size is {max_batch_size}; it must be 1 or more")
        if not max_wait_s >= 0:
            raise ConfigError(f"max_wait_s is {max_wait_s}; it must be 0 or more")
        if max_waiting < max_batch_size:
            raise ConfigError(
                f"max_waiting is {max_waiting}; it must be max_batch_size, {max_batch_size}, or "
                "more, or no batch would ever be full"
            )
        self.max_batch_size = max_batch_size
        self.max_wait_s = max_wait_s
        self.max_waiting = max_waiting
        self.is_closed = False
        self._arrived: OrderedDict[int, float] = OrderedDict()
        self._running: tuple[int, ...] = ()

    @property
    def num_waiting(self) -> int:
        """Items in no batch yet."""
        return len(self._arrived)

    @property
    def running(self) -> tuple[int, ...]:
        """The items of the batch that runs."""
        return self._running

    def put(self, item: int, now: float) -> None:
        """Put an item at the end.

        Raises:
            Closed: Nothing is taken any more.
            QueueFull: As many wait as may.
        """
        if self.is_closed:
            raise Closed("batcher")
        if len(self._arrived) >= self.max_waiting:
            raise QueueFull(len(self._arrived), self.max_waiting, _RETRY_AFTER_S)
        self._arrived[item] = now

    def remove(self, item: int) -> bool:
        """Take an item out; returns whether it was still in no batch."""
        return self._arrived.pop(item, None) is not None

    def due_at(self, now: float) -> float | None:
        """Return when the next batch begins, ``now`` if at once; ``None``: not by itself."""
        if self._running or not self._arrived:
            return None
        if len(self._arrived) >= self.max_batch_size:
            return now
        return max(now, next(iter(self._arrived.values())) + self.max_wait_s)

    def take(self, now: float) -> tuple[int, ...]:
        """Begin the batch that is due, and return its items; nothing when none is due."""
        due = self.due_at(now)
        if due is None or due > now:
            return ()
        count = min(self.max_batch_size, len(self._arrived))
        self._running = tuple(self._arrived.popitem(last=False)[0] for _ in range(count))
        return self._running

    def finish(self) -> None:
        """Note that the batch has ended."""
        self._running = ()

    def close(self) -> list[int]:
        """Take nothing more; return the items that will be in no batch."""
        self.is_closed = True
        left = list(self._arrived)
        self._arrived.clear()
        return left

    def check_integrity(self) -> None:
        """Prove that bounds hold and that no item is in two places.

        Raises:
            AssertionError: The queue contradicts itself; the message says where.
        """
        assert len(self._arrived) <= self.max_waiting, f"{len(self._arrived)} wait"
        assert len(self._running) <= self.max_batch_size, f"{len(self._running)} run"
        both = set(self._running) & set(self._arrived)
        assert not both, f"{sorted(both)} run and wait"
        assert not (self.is_closed and self._arrived), "items wait in a closed queue"
        times = list(self._arrived.values())
        assert times == sorted(times), "items are out of order"
