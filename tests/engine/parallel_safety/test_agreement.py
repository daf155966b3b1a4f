"""Threads beside one thread."""

from __future__ import annotations

import threading
from functools import partial

import torch
from torch import nn

from engine.parallel_safety.agreement import (
    Comparison,
    check_agreement,
    compare_threads,
)
from engine.parallel_safety.findings import Finding
from engine.parallel_safety.inputs import compute
from tests.engine.parallel_safety.models import Racing, Safe

INPUTS = [torch.full((2, 4), float(number)) for number in range(1, 5)]


def found(model: nn.Module) -> list[Finding]:
    """Of two threads."""
    return check_agreement(partial(compute, model), INPUTS, threads=2, rounds=2)


def test_a_safe_model_gives_the_same_bits() -> None:
    """In one thread again, and in two."""
    repeats, threads = found(Safe().eval())
    assert (repeats.verdict, threads.verdict) == ("pass", "pass")
    assert threads.detail == "2 threads beside one: all 16 calls gave the same bits"


def test_a_race_is_found() -> None:
    """One thread alone is right each time; two mix their inputs up."""
    repeats, threads = found(Racing().eval())
    assert (repeats.verdict, threads.verdict) == ("pass", "fail")
    assert "of 16 calls gave other bits" in threads.detail
    assert "lock" in threads.way_out


def test_a_model_that_draws_is_not_blamed_on_threads() -> None:
    """It gives something else in one thread already."""
    repeats, threads = found(Safe().train())
    assert (repeats.verdict, threads.verdict) == ("fail", "warn")
    assert "model.eval()" in repeats.way_out


def test_what_is_raised_in_threads_alone_fails() -> None:
    """By its name."""

    def call(given: torch.Tensor) -> torch.Tensor:
        if threading.current_thread() is not threading.main_thread():
            raise KeyError("taken away")
        return given

    threads = check_agreement(call, INPUTS, threads=2, rounds=1)[-1]
    assert threads.verdict == "fail"
    assert "8 of 8 calls failed, the first with KeyError" in threads.detail


def test_a_thread_that_would_end_keeps_nobody_waiting() -> None:
    """Also where a forward ends the process, which in a thread ends that thread alone."""

    def call(given: torch.Tensor) -> torch.Tensor:
        if threading.current_thread() is not threading.main_thread():
            raise SystemExit(3)
        return given

    threads = check_agreement(call, INPUTS, threads=2, rounds=1)[-1]
    assert "8 of 8 calls failed, the first with SystemExit" in threads.detail


def test_threads_that_wait_for_each_other_are_told_of() -> None:
    """After a while they are left behind."""
    may_end = threading.Event()

    def call(given: torch.Tensor) -> torch.Tensor:
        may_end.wait(10)
        return given

    expected = [[one] for one in INPUTS]
    found = compare_threads(call, INPUTS, expected, threads=2, rounds=1, within_s=0.05)
    may_end.set()
    assert found.stuck_s == 0.05
    assert found.told == "not done within 0.05 s; they seem to wait for each other"


def test_rounding_is_told_apart_from_a_fault() -> None:
    """By eps of the type over the largest output."""
    one = torch.tensor([1.0, 100.0])
    near, far = one.clone(), one.clone()
    near[0] += 1e-4
    far[0] += 1e-1
    comparison = Comparison()
    comparison.add([near], [one])
    assert (comparison.differing, comparison.beyond) == (1, 0)
    comparison.add([far], [one])
    assert (comparison.differing, comparison.beyond) == (2, 1)


def test_other_shapes_types_and_kinds_differ() -> None:
    """Integers must be equal; nan equals nan."""
    comparison = Comparison()
    nan = torch.tensor([float("nan")])
    comparison.add([nan], [nan.clone()])
    assert comparison.differing == 0
    comparison.add([torch.zeros(2)], [torch.zeros(3)])
    comparison.add([torch.tensor([1])], [torch.tensor([2])])
    comparison.add([nan], [torch.zeros(1)])
    comparison.add([], [torch.zeros(1)])
    assert (comparison.differing, comparison.beyond) == (4, 4)
