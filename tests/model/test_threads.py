"""Settings of the thread that steps."""

from __future__ import annotations

import os
import sys
import threading

import pytest
import torch

from engine.model.threads import (
    NICENESS,
    available_cores,
    keep_faster_num_threads,
    prepare_stepping_thread,
)


def test_the_stepping_thread_is_prepared_and_no_other() -> None:
    """Gradients are off and the priority is lowered in the calling thread alone."""
    seen: list[tuple[bool, int]] = []
    threads = torch.get_num_threads()

    def step() -> None:
        prepare_stepping_thread(1)
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        seen.append((torch.is_grad_enabled(), nice))

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    if sys.platform == "linux":
        assert seen == [(False, max(NICENESS, before))]
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    assert torch.is_grad_enabled()
    torch.set_num_threads(threads)


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_only_the_cores_of_this_process_are_counted() -> None:
    """A container may grant fewer than the machine has."""
    assert available_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("slow_with", "expected"), [(1, 2), (2, 1)])
def test_the_faster_number_of_threads_is_kept(slow_with: int, expected: int) -> None:
    """One against all: whichever makes the step shorter."""
    chosen: list[int] = []

    def step() -> None:
        for _ in range(200_000 if chosen[-1] == slow_with else 1):
            pass

    assert keep_faster_num_threads(step, chosen.append, 2) == expected == chosen[-1]
