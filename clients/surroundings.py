"""What a measurement ran on and with, as far as a reader needs it to judge the figures."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_GIT_TIMEOUT_S = 5


def surroundings() -> dict[str, Any]:
    """Return versions and the machine; no host name, no path.

    ``revision`` is there in a checkout only, and ends in ``-dirty`` where files were changed.
    """
    found: dict[str, Any] = {
        "kaiwa": _version("kaiwa"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": describe_processor(),
        "memory_gib": memory_gib(),
        "revision": revision(_ROOT),
    }
    return {name: value for name, value in found.items() if value is not None}


def describe_processor() -> str:
    """Return how many cores this process may use, and the model's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # there is none outside of Linux
        text = ""
    model = next(
        (x.split(":")[1].strip() for x in text.splitlines() if x.startswith("model name")), ""
    )
    model = model or platform.processor() or platform.machine()
    return f"{_num_cores()} cores of {model}"


def memory_gib() -> float | None:
    """Return the machine's memory; ``None`` where the system does not tell."""
    try:
        num_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows, and systems without the names
        return None
    return round(num_bytes / 2**30, 1)


def revision(root: Path) -> str | None:
    """Return the commit that a checkout is at; ``None`` for a folder that is none."""
    if not (root / ".git").exists():  # of its own: a folder within another's checkout is not it
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip() or None


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
