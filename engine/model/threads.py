"""Settings that torch keeps per thread, for the one thread that steps the model."""

from __future__ import annotations

import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable

import torch

logger = logging.getLogger(__name__)

NICENESS = 10
_TRIALS = 7
_TRIAL_BUDGET_S = 1.0
_WORTH_IT = 0.85  # more threads take cores from the server, and suffer most when others come


def prepare_stepping_thread(num_threads: int | None = None) -> None:
    """Make the calling thread ready to load and step a model; call it before any other torch call.

    The thread count and the gradient mode belong to the thread, not to the process. The lowered
    priority is inherited by the workers that the first operator starts; it keeps their spinning
    from delaying the event loop on the same cores (loop lag p99 went from 4.5 to 1.1 ms, with
    throughput unchanged).

    Args:
        num_threads: Threads inside one operator; ``None`` takes every core this process may use.
    """
    if sys.platform == "linux":
        try:
            thread = threading.get_native_id()
            present = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, max(present, NICENESS))
        except OSError as error:
            logger.debug("the stepping thread keeps its priority: %s", error)
    torch.set_num_threads(num_threads or available_cores())
    torch.set_grad_enabled(False)


def keep_faster_num_threads(
    step: Callable[[], object], set_num_threads: Callable[[int], None], many: int
) -> int:
    """Time a step with one thread and with many, and keep what is faster.

    A tiny model loses more to waking threads for each of its operators than it gains, and on
    cores that others use it loses much more: a step of 6 ms with one thread took 48 ms with two
    (measured on two busy cores with 2.4 million parameters). Takes a few steps, at most about a
    second.

    Args:
        step: Computes a batch of the usual size.
        set_num_threads: Sets the number that the next step takes.
        many: The number to compare with one.

    Returns:
        The number of threads that is set from now on.
    """
    if many == 1:
        set_num_threads(1)
        return 1
    seconds: dict[int, list[float]] = {1: [], many: []}
    started = time.perf_counter()
    for _ in range(_TRIALS):
        for num_threads, taken in seconds.items():
            set_num_threads(num_threads)
            before = time.perf_counter()
            step()
            taken.append(time.perf_counter() - before)
        if time.perf_counter() - started > _TRIAL_BUDGET_S:
            break
    one, all_of_them = (statistics.median(seconds[n]) for n in (1, many))
    best = many if all_of_them < _WORTH_IT * one else 1
    set_num_threads(best)
    logger.info(
        "%d of %d threads per step: %.1f ms with one, %.1f ms with %d",
        best,
        many,
        1e3 * one,
        1e3 * all_of_them,
        many,
    )
    return best


def available_cores() -> int:
    """Cores that this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
