"""What the kernel says a process has taken (Linux, proc(5))."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at a process.

    Attributes:
        at: Monotonic seconds.
        cpu_s: Processor time of all its threads, user and system.
        rss_kib: Resident memory.
        num_files: Open file descriptors.
    """

    at: float
    cpu_s: float
    rss_kib: int
    num_files: int

    @classmethod
    def take(cls, pid: int) -> Snapshot:
        """Look at a process of this user."""
        folder = Path("/proc") / str(pid)
        cpu_s = cpu_seconds((folder / "stat").read_text())
        rss = rss_kib((folder / "status").read_text())
        return cls(time.monotonic(), cpu_s, rss, len(os.listdir(folder / "fd")))

    def cpu_share_since(self, before: Snapshot) -> float:
        """Of one core, between two looks."""
        return (self.cpu_s - before.cpu_s) / (self.at - before.at)


def cpu_seconds(stat: str) -> float:
    """Read user and system time from the text of ``/proc/PID/stat``."""
    fields = stat.rpartition(")")[2].split()  # the name may hold anything, also parentheses
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_kib(status: str) -> int:
    """Read ``VmRSS`` from the text of ``/proc/PID/status``."""
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])
