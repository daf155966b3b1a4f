"""Whether threads that share a model compute what one thread alone does."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from engine.errors import ConfigError
from engine.parallel_safety.contents import tensors_in
from engine.parallel_safety.findings import POOL_OR_LOCK, Finding

TOLERANCE_EPS = 16.0
"""Differences up to so many of the type's eps, of the largest output, are rounding."""

_SWITCH_S = 1e-4
"""Threads take turns so often while they are compared, so that races show."""
_PATIENCE_S = 300.0


@dataclass(slots=True)
class Comparison:
    """Outputs beside what they should be.

    Attributes:
        calls: How many were compared.
        differing: How many were not equal bit for bit.
        beyond: How many differed by more than rounding.
        worst: The largest difference over the largest output, in eps of the type.
        errors: What was raised instead of an output.
        stuck_s: After so many seconds threads still waited; 0 where all were done.
    """

    calls: int = 0
    differing: int = 0
    beyond: int = 0
    worst: float = 0.0
    errors: list[str] = field(default_factory=list)
    stuck_s: float = 0.0

    def add(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> None:
        """Compare one call's tensors."""
        self.calls += 1
        if len(found) == len(expected) and all(map(_equal, found, expected)):
            return
        self.differing += 1
        worst = _difference(found, expected)
        self.worst = max(self.worst, worst)
        self.beyond += worst > TOLERANCE_EPS

    @property
    def told(self) -> str:
        """What was seen, in words."""
        if self.stuck_s:
            return f"not done within {self.stuck_s:g} s; they seem to wait for each other"
        if self.errors:
            return (
                f"{len(self.errors)} of {self.calls} calls failed, the first with {self.errors[0]}"
            )
        if not self.differing:
            return f"all {self.calls} calls gave the same bits"
        return (
            f"{self.differing} of {self.calls} calls gave other bits, {self.beyond} of them beyond "
            f"rounding (the largest difference is {self.worst:.3g} eps of the largest output, "
            f"{TOLERANCE_EPS:g} are allowed)"
        )


def check_agreement(
    call: Callable[[Any], object], inputs: Sequence[Any], *, threads: int, rounds: int
) -> list[Finding]:
    """Compute inputs again and again, alone and in threads at once, and compare.

    At any moment each thread computes another input, so that whatever they share is mixed up.

    Args:
        call: Computes an input; called from many threads.
        inputs: Two or more that differ.
        threads: How many at once.
        rounds: How often each thread goes through all inputs.

    Raises:
        ConfigError: Nothing in the outputs can be compared.
    """
    outputs = [call(one) for one in inputs]
    expected = [tensors_in(output) for output in outputs]
    if not any(expected):
        raise ConfigError(
            f"the forward returns {type(outputs[0]).__name__}, in which there is nothing to "
            "compare; let the callable return a module that gives tensors, numbers or text"
        )
    alone = Comparison()
    for one, tensors in zip(inputs, expected, strict=True):
        alone.add(tensors_in(call(one)), tensors)
    found = [_repeating(alone)]
    together = compare_threads(call, inputs, expected, threads=threads, rounds=rounds)
    what = f"{threads} threads beside one: {together.told}"
    if together.stuck_s or together.errors or (together.beyond and not alone.beyond):
        found.append(Finding("fail", "threads", what, POOL_OR_LOCK))
    elif together.beyond:
        found.append(Finding("warn", "threads", f"{what}; but so does one thread"))
    elif together.differing:
        found.append(Finding("warn", "threads", f"{what}: rounding in another order"))
    else:
        found.append(Finding("pass", "threads", what))
    return found


def compare_threads(
    call: Callable[[Any], object],
    inputs: Sequence[Any],
    expected: Sequence[Sequence[torch.Tensor]],
    *,
    threads: int,
    rounds: int,
    within_s: float = _PATIENCE_S,
) -> Comparison:
    """Return how results of threads at once compare with those of one.

    Threads that are not done ``within_s`` wait for each other; they are left behind and told of.
    """
    result = Comparison()
    lock = threading.Lock()
    start = threading.Barrier(threads)

    def work(number: int) -> None:
        for turn in range(rounds * len(inputs)):
            place = (number + turn) % len(inputs)
            with contextlib.suppress(threading.BrokenBarrierError):
                start.wait(within_s)
            try:
                tensors = tensors_in(call(inputs[place]))
            except BaseException as error:  # a thread that just ends would leave the others waiting
                with lock:
                    result.calls += 1
                    result.errors.append(f"{type(error).__name__}: {str(error)[:200]}")
            else:
                with lock:
                    result.add(tensors, expected[place])

    workers = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(threads)]
    with _switching_often():
        for worker in workers:
            worker.start()
        deadline = time.monotonic() + within_s
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
    if any(worker.is_alive() for worker in workers):
        result.stuck_s = within_s
    return result


def _repeating(alone: Comparison) -> Finding:
    if not alone.differing:
        return Finding("pass", "repeats", "the same input gives the same bits again")
    if alone.beyond:
        return Finding(
            "fail",
            "repeats",
            f"the same input gives something else in one thread already: {alone.told}",
            "call model.eval(); a model that draws numbers needs a generator for each call",
        )
    return Finding("warn", "repeats", f"{alone.told}, in one thread already")


def _equal(left: torch.Tensor, right: torch.Tensor) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.is_floating_point():
        both_nan = left.isnan() & right.isnan()
        return bool(((left == right) | both_nan).all())
    return bool((left == right).all())


def _difference(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """Return the largest difference in eps of the largest output; infinite where shapes differ."""
    worst = 0.0
    if [one.shape for one in found] != [one.shape for one in expected]:
        return float("inf")
    for left, right in zip(found, expected, strict=True):
        if left.numel() == 0 or _equal(left, right):
            continue
        if not right.is_floating_point():
            return float("inf")
        gap = (left.double() - right.double()).abs().max().item()
        scale = right.double().abs().max().item() * torch.finfo(right.dtype).eps
        worst = max(worst, gap / scale if scale > 0 and gap == gap else float("inf"))
    return worst


@contextlib.contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
