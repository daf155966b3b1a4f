"""What this process holds in memory, and the most it has held since somebody asked."""

from __future__ import annotations

from pathlib import Path

_PROCESS = Path("/proc/self")
_RESET_PEAK = "5"
"""What Linux takes in ``clear_refs`` to forget the peak (``man 5 proc``)."""


def resident_mib() -> float:
    """Return the memory held now."""
    return _field("VmRSS")


def peak_mib() -> float:
    """Return the most that was held since ``forget_peak``."""
    return _field("VmHWM")


def forget_peak() -> None:
    """Let the peak be what is held now."""
    (_PROCESS / "clear_refs").write_text(_RESET_PEAK, encoding="ascii")


def _field(name: str) -> float:
    for line in (_PROCESS / "status").read_text(encoding="utf-8").splitlines():
        key, _, rest = line.partition(":")
        if key == name:
            return int(rest.split()[0]) / 1024
    raise OSError(f"/proc/self/status has no {name} line; is this Linux?")
