"""How much memory a device has left, and giving back what is not needed."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import torch


def free_memory_bytes(device: torch.device) -> int:
    """Return the bytes that could be taken on a device now without pushing anybody out."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    free = _available_bytes()
    limit = _control_group_left()
    return free if limit is None else min(free, limit)


def give_back_memory() -> None:
    """Let go of what a finished load has left behind.

    Modules hold each other in circles, so their weights stay until a collection; glibc keeps freed
    buffers, which would be as large as the largest weights, and torch does so on a GPU.
    """
    gc.collect()
    torch.cuda.empty_cache()  # nothing where there is no GPU
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable line; is this Linux?")


def _control_group_left() -> int | None:
    """Bytes left under a container's limit (cgroup v2), where there is one."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0, int(limit) - used)
