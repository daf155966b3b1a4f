"""Who holds which instance of a model, who waits for one, and when another one is made.

Events in, effects out: nothing here makes, waits or locks.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass

from engine.errors import Closed, ConfigError, QueueFull

_RETRY_AFTER_S = 1.0


class InstanceState(enum.Enum):
    """What an instance is doing."""

    MAKING = "making"
    IDLE = "idle"
    LEASED = "leased"


@dataclass(frozen=True, slots=True)
class Make:
    """An instance is to be made; ``made`` or ``make_failed`` is told of it afterwards."""

    instance: int


@dataclass(frozen=True, slots=True)
class Grant:
    """A waiter has got an instance, and gives it back."""

    waiter: int
    instance: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """A waiter's wait has ended without an instance."""

    waiter: int


Effect = Make | Grant | Refuse


class PoolLedger:
    """The book of a pool.

    Instances are made one for each waiter that finds none idle, up to the bound. What is made goes
    to whoever has waited longest, so a waiter that leaves costs nobody an instance.

    Args:
        max_instances: How many there may be, those being made included.
        max_waiting: How many may wait beyond those that an instance is being made for; further ones
            are refused.

    Raises:
        ConfigError: A bound is too small.
    """

    def __init__(self, max_instances: int, max_waiting: int) -> None:
        if max_instances < 1:
            raise ConfigError(f"max_instances is {max_instances}; it must be 1 or more")
        if max_waiting < 0:
            raise ConfigError(f"max_waiting is {max_waiting}; it must be 0 or more")
        self.max_instances = max_instances
        self.max_waiting = max_waiting
        self.is_closed = False
        self._instances: dict[int, InstanceState] = {}
        self._idle: list[int] = []
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._next_instance = 0

    @property
    def num_waiting(self) -> int:
        """Waiters in line."""
        return len(self._waiting)

    @property
    def is_drained(self) -> bool:
        """Whether it is closed, and nothing is leased or being made."""
        return self.is_closed and self.count(InstanceState.IDLE) == len(self._instances)

    def count(self, state: InstanceState) -> int:
        """Instances in a state."""
        return sum(one is state for one in self._instances.values())

    def ask(self, waiter: int) -> list[Effect]:
        """Put a waiter at the end of the line.

        Raises:
            Closed: The pool takes nobody any more.
            QueueFull: The line is at its bound.
        """
        if self.is_closed:
            raise Closed("pool")
        if self._idle:  # nobody waits while one is idle
            return [self._grant(waiter, self._idle.pop())]
        making = self.count(InstanceState.MAKING)
        can_make = len(self._instances) < self.max_instances
        beyond = len(self._waiting) - making  # those that no instance is being made for
        if not can_make and beyond >= self.max_waiting:
            raise QueueFull(len(self._waiting), self.max_waiting + making, _RETRY_AFTER_S)
        self._waiting[waiter] = None
        return self._make_enough()

    def leave(self, waiter: int) -> None:
        """Take a waiter out of the line; one that is not in it is ignored."""
        self._waiting.pop(waiter, None)

    def made(self, instance: int) -> list[Effect]:
        """Take in an instance that has been made."""
        self._expect(instance, InstanceState.MAKING)
        return self._hand_on(instance)

    def make_failed(self, instance: int) -> list[Effect]:
        """Strike an instance that could not be made.

        Whoever has waited longest hears of it, so a factory that never works ends every wait; for
        the others it is tried again.
        """
        self._expect(instance, InstanceState.MAKING)
        del self._instances[instance]
        effects: list[Effect] = []
        if self._waiting:
            effects.append(Refuse(self._waiting.popitem(last=False)[0]))
        return effects + self._make_enough()

    def give_back(self, instance: int) -> list[Effect]:
        """Take back an instance that was leased."""
        self._expect(instance, InstanceState.LEASED)
        return self._hand_on(instance)

    def discard(self, instance: int) -> list[Effect]:
        """Strike a leased instance that is of no use any more; those who wait get a new one."""
        self._expect(instance, InstanceState.LEASED)
        del self._instances[instance]
        return self._make_enough()

    def close(self) -> list[Effect]:
        """Take nobody any more, and end every wait; what is leased comes back as ever."""
        self.is_closed = True
        effects: list[Effect] = [Refuse(waiter) for waiter in self._waiting]
        self._waiting.clear()
        return effects

    def check_integrity(self) -> None:
        """Prove that each instance is in one place and that nobody waits for nothing.

        Raises:
            AssertionError: The book contradicts itself; the message says where.
        """
        idle = sorted(key for key, state in self._instances.items() if state is InstanceState.IDLE)
        making = self.count(InstanceState.MAKING)
        assert sorted(self._idle) == idle, f"idle are {idle}, listed {sorted(self._idle)}"
        assert len(self._instances) <= self.max_instances, f"{len(self._instances)} instances"
        assert not (self._waiting and idle), "somebody waits beside an idle instance"
        assert not (self._waiting and self.is_closed), "somebody waits for a closed pool"
        beyond = len(self._waiting) - making
        assert beyond <= self.max_waiting, f"{beyond} wait, {self.max_waiting} may"
        is_full = len(self._instances) == self.max_instances
        assert beyond <= 0 or is_full, f"{beyond} wait, and no instance is made for them"

    def _hand_on(self, instance: int) -> list[Effect]:
        if self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            return [self._grant(waiter, instance)]
        self._instances[instance] = InstanceState.IDLE
        self._idle.append(instance)  # the one used last goes first: its memory is warm
        return []

    def _grant(self, waiter: int, instance: int) -> Grant:
        self._instances[instance] = InstanceState.LEASED
        return Grant(waiter, instance)

    def _make_enough(self) -> list[Effect]:
        wanted = len(self._waiting) - self.count(InstanceState.MAKING)
        effects: list[Effect] = []
        for _ in range(min(wanted, self.max_instances - len(self._instances))):
            self._instances[self._next_instance] = InstanceState.MAKING
            effects.append(Make(self._next_instance))
            self._next_instance += 1
        return effects

    def _expect(self, instance: int, state: InstanceState) -> None:
        found = self._instances.get(instance)
        if found is not state:
            raise ValueError(f"instance {instance} is {found}, not {state}")
