"""Tiny models, each with one habit; some are named on a command line, as one's own would be."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn


class Safe(nn.Module):
    """A classifier that keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(8, 2)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        hidden = self.drop(torch.relu(self.first(given)))
        found: torch.Tensor = self.last(hidden)
        return found


class Counting(Safe):
    """Counts its forwards."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(given)


class Tidy(Safe):
    """Keeps something while it computes, and puts all back before it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch: Any = None

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        self.scratch = given * 2
        found = super().forward(self.scratch)
        self.scratch = None
        return found


class Running(nn.Module):
    """Keeps a mean of what it has seen, in a buffer within a module within."""

    class Mean(nn.Module):
        mean: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(4))

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            self.mean.mul_(0.9).add_(given.mean(0), alpha=0.1)
            return given - self.mean

    def __init__(self) -> None:
        super().__init__()
        self.statistics = self.Mean()
        self.last = nn.Linear(4, 2)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.statistics(given))
        return found


class Lazy(nn.Module):
    """Fills a table at its first forward."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.table: torch.Tensor | None = None

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if self.table is None:
            self.table = torch.ones(4)
        found: torch.Tensor = self.last(given * self.table)
        return found


class Racing(nn.Module):
    """Keeps its input in an attribute, out of modules' sight, between two steps.

    Two threads meet in between, so each takes what the later one has written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.desk = Desk()

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        self.desk.put(given)
        found: torch.Tensor = self.last(self.desk.paper)
        return found


class Desk:
    """One paper lies on it; in threads, a second one has come before the first is read."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2)
        self.paper = torch.zeros(0)

    def put(self, paper: torch.Tensor) -> None:
        self.paper = paper
        if threading.current_thread() is not threading.main_thread():
            self.both.wait(10)


def safe() -> nn.Module:
    """Fit to be shared."""
    return Safe().eval()


def in_training() -> nn.Module:
    """Left in training mode."""
    return Safe()


def normed() -> tuple[nn.Module, list[torch.Tensor]]:
    """Batch-norm in training mode, with inputs of its own."""
    return nn.Sequential(nn.BatchNorm1d(4)), [torch.randn(3, 4), torch.randn(5, 4)]


def unknown() -> nn.Module:
    """Takes anything."""
    return nn.Sequential(nn.ReLU())


def no_model() -> int:
    """Makes something else."""
    return 3


def broken() -> nn.Module:
    """Cannot be made."""
    raise OSError("no weights")


def one_input() -> tuple[nn.Module, list[torch.Tensor]]:
    """Too few inputs to tell anything."""
    return Safe(), [torch.zeros(1, 4)]


def wrong_inputs() -> tuple[nn.Module, list[torch.Tensor]]:
    """Inputs that it does not take."""
    return Safe().eval(), [torch.zeros(1, 7), torch.zeros(2, 7)]


def same_inputs() -> tuple[nn.Module, list[torch.Tensor]]:
    """Inputs that cannot be told apart once they are mixed up."""
    return Safe().eval(), [torch.zeros(1, 4), torch.zeros(1, 4)]


class Telling(Safe):
    """Gives its numbers in an object of its own, or in nothing that could be looked into."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, given: torch.Tensor) -> Any:
        return self.wrap(super().forward(given) + torch.rand(1))


def telling_by_object() -> nn.Module:
    """Draws a number for each answer."""
    return Telling(lambda logits: SimpleNamespace(logits=logits)).eval()


def telling_one_by_one() -> nn.Module:
    """Nobody has asked its generator for the first one."""
    return Telling(lambda logits: (row for row in logits)).eval()


def leaving() -> nn.Module:
    """Ends the process instead, as a script does."""
    raise SystemExit("no such option")


def interrupted() -> nn.Module:
    """Somebody has lost patience."""
    raise KeyboardInterrupt


def killed() -> nn.Module:
    """Takes more memory than there is."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
