"""The processor, as its maker calls it."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe_processor() -> str:
    """Cores that this process may use, and the model's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")
    return f"{len(os.sched_getaffinity(0))} cores of {model or platform.machine()}"
