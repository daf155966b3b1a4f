"""Lanes of work that run beside each other on a GPU, and at once where there is none.

What is given to one lane is done in the order it was given; lanes wait for each other by marks. The
host waits for nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

Mark = Any
"""A place in a lane's work that others can wait for; ``None`` where there is nothing to wait for.
Only lanes look into it."""


class Lane(Protocol):
    """Work that is done in its order."""

    def run(self, work: Callable[[], object]) -> None:
        """Add work; it launches operations and waits for none."""
        ...

    def mark(self) -> Mark:
        """Return what is reached once all that was added so far is done."""
        ...

    def wait(self, mark: Mark) -> None:
        """Begin what is added from now on after a mark, of this lane or of another."""
        ...


@dataclass(frozen=True, slots=True)
class Lanes:
    """What moves blocks between a device and its host.

    Attributes:
        computing: Reads and writes the blocks.
        outward: Copies to the host.
        inward: Copies from the host.
    """

    computing: Lane
    outward: Lane
    inward: Lane


class Immediate:
    """A lane without a GPU: everything is done when it is added."""

    def run(self, work: Callable[[], object]) -> None:
        """Do it."""
        work()

    def mark(self) -> Mark:
        """Return nothing; all is done."""

    def wait(self, mark: Mark) -> None:
        """Go on; all is done."""


class CudaLane:
    """A lane on a GPU.

    Args:
        device: The GPU.
        is_current: Whether it is whatever stream computes, rather than a stream of its own.
    """

    def __init__(self, device: torch.device, *, is_current: bool = False) -> None:
        self._device = device
        self._own = None if is_current else torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run(self, work: Callable[[], object]) -> None:
        """Launch it."""
        with self._as_current():
            work()

    def mark(self) -> Mark:
        """Record an event."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return event

    def wait(self, mark: Mark) -> None:
        """Let the stream wait for an event."""
        if mark is not None:
            self._stream.wait_event(mark)

    @property
    def _stream(self) -> torch.cuda.Stream:
        return torch.cuda.current_stream(self._device) if self._own is None else self._own

    def _as_current(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._stream)


def lanes_of(device: torch.device) -> Lanes:
    """Return a device's lanes: on a GPU each direction has a stream, so both go on at once."""
    if device.type != "cuda":
        return Lanes(Immediate(), Immediate(), Immediate())
    return Lanes(CudaLane(device, is_current=True), CudaLane(device), CudaLane(device))
